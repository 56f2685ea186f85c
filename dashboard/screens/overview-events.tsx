import { counted, full } from "../format/number.ts";
import { EventTable } from "../parts/event-table.tsx";
import { Empty } from "../parts/empty.tsx";
import { Icon } from "../parts/icon.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { arrivedSincePause, isPaused, shownEvents, togglePause, type ShownEvents } from "../stores/events.ts";
import { chartStack } from "../stores/overview.ts";

const ROWS = 12;

/** The latest events as they arrive. */
export function EventsPanel() {
  const latest = shownEvents.value;
  const hasEvents = latest !== null && latest.events.length > 0;
  const actions = hasEvents && (
    <button type="button" class="button button-quiet" aria-pressed={isPaused.value} onClick={togglePause}>
      <Icon name={isPaused.value ? "play" : "pause"} />
      {isPaused.value ? "Go on" : "Pause"}
    </button>
  );
  return (
    <Panel title="Latest events" note={noteOf(latest)} place="place-events" actions={actions}>
      <div class="events-box">
        {latest === null && <SkeletonRows count={ROWS} />}
        {latest !== null && !hasEvents && <Empty why="Events show up here as they arrive." />}
        {hasEvents && <EventTable events={latest.events} rows={ROWS} slotOf={slotOf} />}
      </div>
    </Panel>
  );
}

function noteOf(shown: ShownEvents | null): string {
  if (isPaused.value) return `paused, ${counted(arrivedSincePause.value, "new one")}`;
  return shown !== null && shown.came > ROWS ? `newest ${ROWS} of ${full(shown.came)}, each second` : "as they arrive";
}

function slotOf(type: string): number {
  return chartStack.value.series.find((series) => series.name === type)?.slot ?? 0;
}
