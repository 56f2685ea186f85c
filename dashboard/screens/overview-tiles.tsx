import { useComputed } from "@preact/signals";
import { compact, full, rate } from "../format/number.ts";
import { Mark } from "../parts/mark.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { Tile } from "../parts/tile.tsx";
import { alertViews, openAlerts, openByLevel } from "../stores/alerts.ts";
import { chartStack, currentRate, eventsLastHour, highestRate, overview, RATE_SECONDS } from "../stores/overview.ts";

/** Seconds that one point of the sparkline stands for; it divides CHART_SECONDS, so that the last point is a whole one. */
const SPARK_SECONDS = 4;

/** The four numbers that are read first. */
export function Tiles() {
  return (
    <div class="tiles">
      <RateTile />
      <CountTile />
      <AlertsTile />
      <LateTile />
    </div>
  );
}

function RateTile() {
  const known = overview.value !== null;
  const points = useComputed(() => bucketed(chartStack.value.totals, SPARK_SECONDS));
  return (
    <Tile
      name="Events per second"
      stat="rate"
      value={known ? rate(currentRate.value) : null}
      exact={`average of the last ${RATE_SECONDS} seconds`}
    >
      <Sparkline values={points.value} />
      <span class="tile-note">peak {rate(highestRate.value)}/s</span>
    </Tile>
  );
}

function CountTile() {
  const totals = overview.value?.totals;
  return (
    <Tile
      name="Events, last hour"
      stat="events-hour"
      value={totals === undefined ? null : compact(eventsLastHour.value)}
      exact={full(eventsLastHour.value)}
    >
      <span class="tile-note" title={full(totals?.events ?? 0)}>
        <span data-stat="events-total">{full(totals?.events ?? 0)}</span> in total
      </span>
    </Tile>
  );
}

function AlertsTile() {
  const known = alertViews.value !== null;
  return (
    <Tile name="Open alerts" stat="alerts-open" value={known ? full(openAlerts.value.length) : null}>
      {openByLevel.value.length === 0 ? (
        <span class="status" data-status="ok">
          <Mark status="ok" /> all quiet
        </span>
      ) : (
        openByLevel.value.map(({ level, count }) => (
          <span key={level} class="status" data-status={level}>
            <Mark status={level} /> {count} {level}
          </span>
        ))
      )}
    </Tile>
  );
}

function LateTile() {
  const totals = overview.value?.totals;
  return (
    <Tile
      name="Late events"
      stat="late"
      value={totals === undefined ? null : compact(totals.late)}
      exact={full(totals?.late ?? 0)}
    >
      <span class="tile-note" title={full(totals?.duplicates ?? 0)}>
        <span data-stat="duplicates">{compact(totals?.duplicates ?? 0)}</span> duplicates, counted once
      </span>
    </Tile>
  );
}

function bucketed(values: readonly number[], size: number): number[] {
  const buckets: number[] = [];
  for (let from = 0; from < values.length; from += size) {
    buckets.push(values.slice(from, from + size).reduce((sum, value) => sum + value, 0));
  }
  return buckets;
}
