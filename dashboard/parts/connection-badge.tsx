import { useComputed } from "@preact/signals";
import { serverAheadMs, wallMs } from "../live/clock.ts";
import { connectionWords } from "../live/connection-words.ts";
import { connection } from "../live/connection-signal.ts";
import { tell } from "../live/feed.ts";
import { overview } from "../stores/overview.ts";
import { Mark, type Status } from "./mark.tsx";

const MARKS: Record<string, Status> = { ok: "ok", warning: "warning", error: "error" };

/** Whether the numbers are live, and if not, why and what happens next. */
export function ConnectionBadge() {
  const state = useComputed(() => {
    const lastSecond = overview.value?.seconds.at(-1)?.at;
    const lastEventMs = lastSecond === undefined ? null : lastSecond * 1_000 - serverAheadMs.value;
    return connectionWords(connection.value, wallMs.value, lastEventMs);
  }).value;
  const mark = MARKS[state.tone];
  return (
    <div class="connection" data-tone={state.tone}>
      {mark === undefined ? <span class="mark mark-waiting" aria-hidden="true" /> : <Mark status={mark} />}
      <span role="status">{state.words}</span>
      {state.canRetry && (
        <button type="button" class="button button-small" onClick={() => tell({ type: "retry" })}>
          Retry
        </button>
      )}
    </div>
  );
}
