import type { FacetEntry } from "../../core/live/protocol.ts";
import { BarList } from "../parts/bar-list.tsx";
import { Mark, type Status } from "../parts/mark.tsx";
import { Panel } from "../parts/panel.tsx";
import { chartStack, eventsLastHour, facet, overview } from "../stores/overview.ts";

const ROWS = 8;
const SIDE_ROWS = 5;
const NOTE = "last hour";

/** What the events were, by type, status and path. */
export function FacetPanels() {
  return (
    <>
      <Panel title="By type" note={NOTE} place="place-type">
        <BarList {...bars("type")} emptyText="No events in the last hour." toneOf={typeTone} markOf={typeDot} />
      </Panel>
      <Panel title="By status" note={NOTE} place="place-status">
        <BarList
          {...bars("data.status")}
          emptyText="No event of the last hour has data.status."
          toneOf={statusTone}
          markOf={statusMark}
        />
      </Panel>
      <Panel title="Top paths" note={NOTE} place="place-paths">
        <BarList {...bars("data.path")} emptyText="No event of the last hour has data.path." />
      </Panel>
    </>
  );
}

/** Where the events came from and how much they matter. */
export function SidePanels() {
  return (
    <div class="place-side">
      <Panel title="By source" note={NOTE}>
        <BarList {...bars("source", SIDE_ROWS)} emptyText="No events in the last hour." />
      </Panel>
      <Panel title="By severity" note={NOTE}>
        <BarList
          {...bars("severity", 4)}
          emptyText="No events in the last hour."
          markOf={severityMark}
          toneOf={severityTone}
        />
      </Panel>
    </div>
  );
}

function bars(path: string, rows = ROWS): { entries: readonly FacetEntry[] | null; whole: number; rows: number } {
  return { entries: overview.value === null ? null : facet(path), whole: eventsLastHour.value, rows };
}

function slotOf(type: unknown): number {
  return chartStack.value.series.find((series) => series.name === type)?.slot ?? 0;
}

function typeTone([value]: FacetEntry): string {
  return `slot-${slotOf(value)}`;
}

function typeDot([value]: FacetEntry) {
  return <span class="dot" data-slot={slotOf(value)} aria-hidden="true" />;
}

/** HTTP's classes: 2xx ok, 3xx info, 4xx warning, 5xx error; anything else is not judged. */
function statusOf([value]: FacetEntry): Status | null {
  const classes: Record<string, Status> = { 1: "info", 2: "ok", 3: "info", 4: "warning", 5: "error" };
  const code = Number(value);
  return code >= 100 && code <= 599 ? (classes[Math.floor(code / 100)] ?? null) : null;
}

function statusTone(entry: FacetEntry): string {
  return statusOf(entry) ?? "accent";
}

function statusMark(entry: FacetEntry) {
  const status = statusOf(entry);
  return status === null ? null : <Mark status={status} />;
}

const SEVERITY: ReadonlyMap<unknown, Status> = new Map([
  ["low", "info"],
  ["high", "error"],
  ["critical", "critical"],
]);

function severityTone([value]: FacetEntry): string {
  return SEVERITY.get(value) ?? "none";
}

function severityMark([value]: FacetEntry) {
  const status = SEVERITY.get(value);
  return status === undefined ? <span class="mark mark-none" aria-hidden="true" /> : <Mark status={status} />;
}
