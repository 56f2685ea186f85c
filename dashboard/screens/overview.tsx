import { useComputed } from "@preact/signals";
import { TrafficPanel } from "./overview-traffic.tsx";
import { EventsPanel } from "./overview-events.tsx";
import { FacetPanels, SidePanels } from "./overview-facets.tsx";
import { Tiles } from "./overview-tiles.tsx";
import { AlertsPanel } from "./overview-alerts.tsx";
import { hasHeard, isFresh } from "../live/connection-signal.ts";
import { FirstEvent } from "../parts/first-event.tsx";
import { Panel } from "../parts/panel.tsx";
import { shownEvents } from "../stores/events.ts";
import { overview } from "../stores/overview.ts";

/** Is everything all right now? Before the first event: how do I send one? */
export function Overview() {
  const isEmpty = useComputed(() => overview.value?.totals.events === 0 && shownEvents.value?.events.length === 0);
  return (
    <div class="overview" data-fresh={isFresh.value || !hasHeard.value}>
      <Tiles />
      {isEmpty.value ? <FirstRun /> : <Live />}
    </div>
  );
}

function FirstRun() {
  return (
    <Panel title="Send your first event" place="place-first">
      <FirstEvent />
    </Panel>
  );
}

function Live() {
  return (
    <>
      <TrafficPanel />
      <AlertsPanel />
      <FacetPanels />
      <EventsPanel />
      <SidePanels />
    </>
  );
}
