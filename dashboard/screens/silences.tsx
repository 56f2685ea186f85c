import { useEffect, useState } from "preact/hooks";
import { duration, exact, moment } from "../format/time.ts";
import { serverNowMs } from "../live/clock.ts";
import { Failure } from "../parts/failure.tsx";
import { Panel } from "../parts/panel.tsx";
import { SilenceDialog } from "../parts/silence-dialog.tsx";
import { useAction } from "../parts/use-action.ts";
import { useApi } from "../parts/use-api.ts";
import { ask, mayEdit } from "../session/session.ts";
import { decodeSilences, type Silence, silencesChanged } from "../stores/silences.ts";

const REFRESH_MS = 15_000;

/** What is being kept quiet, and until when. */
export function Silences() {
  const { data, failure, again } = useApi("/api/v1/silences", decodeSilences, REFRESH_MS);
  const [isAdding, setAdding] = useState(false);
  const changes = silencesChanged.value;
  useEffect(() => again(), [changes]);
  const now = serverNowMs.value;
  const current = data?.filter(({ endsMs }) => endsMs > now) ?? [];
  const actions = mayEdit.value && (
    <button type="button" class="button" onClick={() => setAdding(true)}>
      New silence
    </button>
  );
  return (
    <Panel title="Silences" actions={actions}>
      {failure !== null && <Failure failure={failure} onRetry={again} />}
      {failure === null && current.length === 0 && <p class="note">Nothing is being kept quiet.</p>}
      <ul class="alerts">
        {current.map((silence) => (
          <Item key={silence.id} silence={silence} nowMs={now} />
        ))}
      </ul>
      {isAdding && <SilenceDialog onClose={() => setAdding(false)} />}
    </Panel>
  );
}

function Item({ silence, nowMs }: { silence: Silence; nowMs: number }) {
  const { run, isBusy, failure } = useAction();
  const end = async (): Promise<void> => {
    const path = `/api/v1/silences/${encodeURIComponent(silence.id)}`;
    if (await run(() => ask({ method: "DELETE", path }))) silencesChanged.value++;
  };
  const begins = silence.startsMs > nowMs ? `from ${moment(silence.startsMs, nowMs)} ` : "";
  return (
    <li class="silence">
      <p class="alert-title">{silence.matchers}</p>
      <p class="alert-detail">
        {begins}until <time dateTime={exact(silence.endsMs)}>{moment(silence.endsMs, nowMs)}</time>,{" "}
        {duration(silence.endsMs - nowMs)} left
        {silence.comment !== "" && ` · ${silence.comment}`}
      </p>
      {mayEdit.value && (
        <div class="alert-actions">
          <span role="status" class="note">
            {failure?.message}
          </span>
          <button type="button" class="button" disabled={isBusy} onClick={() => void end()}>
            End now<span class="visually-hidden"> {silence.matchers}</span>
          </button>
        </div>
      )}
    </li>
  );
}
