import { useEffect, useState } from "preact/hooks";
import { PreviewChart } from "../chart/preview-chart.tsx";
import { counted } from "../format/number.ts";
import { duration, exact, moment } from "../format/time.ts";
import { serverNowMs } from "../live/clock.ts";
import { fields, instant } from "../live/decode.ts";
import { ListTable } from "../parts/list-table.tsx";
import { Panel } from "../parts/panel.tsx";
import { type ApiFailure, failureOf } from "../session/api.ts";
import { ask } from "../session/session.ts";
import { decodePreview, type Preview } from "../stores/preview.ts";
import { bodyOf, type RuleDraft } from "../stores/rule-draft.ts";

/** Typing goes on for a moment before it is worth asking. */
const ASK_AFTER_MS = 400;
const HOUR_MS = 3_600_000;
const SPANS: readonly (readonly [string, number])[] = [
  ["last hour", HOUR_MS],
  ["last 6 hours", 6 * HOUR_MS],
  ["last day", 24 * HOUR_MS],
  ["last 7 days", 7 * 24 * HOUR_MS],
];
const MAX_ROWS = 20;

interface RulePreviewProps {
  readonly draft: RuleDraft;
  /** Newest window end of the aggregation, epoch ms; the preview ends there, as its time is that of the events. */
  readonly untilMs: number | null;
}

/** When the rule as it is written now would have fired, by the engine that runs it. */
export function RulePreview({ draft, untilMs }: RulePreviewProps) {
  const [span, setSpan] = useState(1);
  const { preview, failure } = usePreview(draft, untilMs, SPANS[span]?.[1] ?? HOUR_MS);
  const choose = (
    <select
      aria-label="Time of the preview"
      value={String(span)}
      onChange={(event) => setSpan(Number(event.currentTarget.value))}
    >
      {SPANS.map(([name], k) => (
        <option key={name} value={String(k)}>
          {name}
        </option>
      ))}
    </select>
  );
  return (
    <Panel title="Preview" note="what it would have done" actions={choose}>
      {failure !== null && <p class="note">{failure.message}</p>}
      {untilMs === null && (
        <p class="note">This aggregation has seen no event yet, so there is nothing to try the rule on.</p>
      )}
      {preview !== null && <Outcome preview={preview} />}
    </Panel>
  );
}

function Outcome({ preview }: { preview: Preview }) {
  const firing = preview.spans.filter(({ state }) => state === "firing");
  const now = serverNowMs.value;
  return (
    <>
      <p class="preview-verdict" role="status">
        It would have fired {counted(preview.fired, "time")}.
      </p>
      <PreviewChart preview={preview} />
      {preview.note !== "" && <p class="note">{preview.note}</p>}
      {firing.length > 0 && (
        <ListTable label="When it would have fired" columns={["Group", "From", "For"]}>
          {firing.slice(0, MAX_ROWS).map((span) => (
            <tr key={`${span.name} ${span.fromMs}`}>
              <th scope="row">{span.name}</th>
              <td title={exact(span.fromMs)}>{moment(span.fromMs, now)}</td>
              <td>{duration(span.toMs - span.fromMs)}</td>
            </tr>
          ))}
        </ListTable>
      )}
      {firing.length > 0 && preview.fired > MAX_ROWS && <p class="note">and {preview.fired - MAX_ROWS} more</p>}
    </>
  );
}

/**
 * Where the preview ends. The watermark of a silent tenant follows the clock; a log shipped from years ago must be seen all the same.
 */
function endOf(watermarkMs: number, newestMs: number, lengthMs: number): number {
  return newestMs < watermarkMs - lengthMs ? newestMs + HOUR_MS : watermarkMs;
}

async function newestEventMs(): Promise<number> {
  return instant(fields(await ask({ method: "GET", path: "/api/v1/stats" }))?.["newest_event"]) ?? 0;
}

/** Asks again when the rule or the time changes; while it does, what was known stays. */
function usePreview(
  draft: RuleDraft,
  untilMs: number | null,
  lengthMs: number,
): { preview: Preview | null; failure: ApiFailure | null } {
  const [preview, setPreview] = useState<Preview | null>(null);
  const [failure, setFailure] = useState<ApiFailure | null>(null);
  // A name is not needed to try a rule out, and channels would not be told.
  const rule = JSON.stringify({ ...bodyOf(draft), name: draft.name.trim() || "preview", channels: [] });
  useEffect(() => {
    if (untilMs === null) return undefined;
    let gone = false;
    const askNow = async (): Promise<void> => {
      try {
        const endMs = endOf(untilMs, await newestEventMs(), lengthMs);
        const body = { rule: JSON.parse(rule) as unknown, from: exact(endMs - lengthMs), to: exact(endMs) };
        const answer = decodePreview(await ask({ method: "POST", path: "/api/v1/rules/backtest", body }));
        if (gone) return;
        setPreview(answer);
        setFailure(null);
      } catch (thrown) {
        if (!gone) setFailure(failureOf(thrown));
      }
    };
    const timer = setTimeout(() => void askNow(), ASK_AFTER_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [rule, untilMs, lengthMs]);
  return { preview, failure };
}
