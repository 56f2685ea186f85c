/**
 * What a delta means, per topic: how it changes a snapshot, and how two deltas in a row become one.
 *
 * Both rest on one rule: a delta carries whole items, and a later item replaces an earlier one of the same key. So
 * fold(fold(s, a), b) = fold(s, merge(a, b)), and folding a delta that the snapshot already contains is harmless as long
 * as every later change follows too.
 */

import type {
  AggregationDelta,
  AggregationSnapshot,
  AlertJson,
  AlertsDelta,
  AlertsSnapshot,
  DashboardDelta,
  DashboardSnapshot,
  EventJson,
  EventsDelta,
  EventsSnapshot,
  GoneWindow,
  PublishedFrame,
  SecondCount,
  WindowJson,
} from "./protocol.ts";

/** Windows kept in an aggregation's state; the oldest closed ones go first. */
export const MAX_LIVE_WINDOWS = 200;
/** Events kept in the state, and listed in one delta. */
export const MAX_LIVE_EVENTS = 50;
export const MAX_DELTA_EVENTS = 20;
/** Resolved alerts kept in the state. */
export const MAX_LIVE_RESOLVED = 20;
/** Seconds of the overview's chart. */
const MAX_LIVE_SECONDS = 300;

export function foldAggregation(state: AggregationSnapshot, delta: AggregationDelta): AggregationSnapshot {
  const windows = upsert(withoutGone(state.windows, delta), delta.windows, windowKey).sort(byStartThenGroup);
  let surplus = windows.length - MAX_LIVE_WINDOWS;
  const kept = windows.filter((window) => window.status === "open" || surplus-- <= 0);
  return { name: state.name, watermark: delta.watermark, windows: kept };
}

export function foldEvents(state: EventsSnapshot, delta: EventsDelta): EventsSnapshot {
  return { events: newestFirst(delta.events, state.events).slice(0, MAX_LIVE_EVENTS) };
}

export function foldAlerts(state: AlertsSnapshot, delta: AlertsDelta): AlertsSnapshot {
  let resolved = 0;
  const alerts = newestFirst<AlertJson>(delta.alerts, state.alerts);
  return { alerts: alerts.filter((alert) => alert.status !== "resolved" || ++resolved <= MAX_LIVE_RESOLVED) };
}

export function foldDashboard(state: DashboardSnapshot, delta: DashboardDelta): DashboardSnapshot {
  return {
    seconds: lastSeconds(upsert(state.seconds, delta.seconds, secondKey)),
    facets: { ...state.facets, ...delta.facets },
    watermark: delta.watermark,
    totals: delta.totals,
  };
}

/** One frame that does what `older` and then `newer` would. Both must be of the same topic. */
export function mergeFrames(older: PublishedFrame, newer: PublishedFrame): PublishedFrame {
  if (isAggregation(older) && isAggregation(newer)) {
    const windows = upsert(withoutGone(older.data.windows, newer.data), newer.data.windows, windowKey);
    const gone = [...(older.data.gone ?? []), ...(newer.data.gone ?? [])];
    const data = { watermark: newer.data.watermark, windows, ...(gone.length === 0 ? {} : { gone }) };
    return { topic: newer.topic, data };
  }
  if (isDashboard(older) && isDashboard(newer)) {
    return { topic: newer.topic, data: foldDashboard(older.data, newer.data) };
  }
  if (older.topic === "events" && newer.topic === "events")
    return { topic: "events", data: mergeEvents(older.data, newer.data) };
  if (older.topic === "alerts" && newer.topic === "alerts") {
    return { topic: "alerts", data: { alerts: newestFirst(newer.data.alerts, older.data.alerts) } };
  }
  throw new Error(`frames of two topics: ${older.topic} and ${newer.topic}`);
}

function mergeEvents(older: EventsDelta, newer: EventsDelta): EventsDelta {
  const events = newestFirst<EventJson>(newer.events, older.events);
  const cut = Math.max(0, events.length - MAX_DELTA_EVENTS);
  return { events: events.slice(0, MAX_DELTA_EVENTS), skipped: older.skipped + newer.skipped + cut };
}

function isAggregation(frame: PublishedFrame): frame is Extract<PublishedFrame, { data: AggregationDelta }> {
  return frame.topic.startsWith("aggregation:");
}

function isDashboard(frame: PublishedFrame): frame is Extract<PublishedFrame, { data: DashboardDelta }> {
  return frame.topic.startsWith("dashboard:");
}

/** Earlier items with later ones put in their places, new ones at the end. */
function upsert<Item>(
  earlier: readonly Item[],
  later: readonly Item[],
  keyOf: (item: Item) => string | number,
): Item[] {
  const byKey = new Map(earlier.map((item) => [keyOf(item), item]));
  for (const item of later) byKey.set(keyOf(item), item);
  return [...byKey.values()];
}

/** Later items first, then the earlier ones that they do not replace. */
function newestFirst<Item extends { readonly id: string }>(later: readonly Item[], earlier: readonly Item[]): Item[] {
  const seen = new Set(later.map((item) => item.id));
  return [...later, ...earlier.filter((item) => !seen.has(item.id))];
}

/** Windows without those that a delta says are gone; what it brings itself is put in afterwards. */
function withoutGone(windows: readonly WindowJson[], { gone = [] }: AggregationDelta): readonly WindowJson[] {
  if (gone.length === 0) return windows;
  const names = new Set(gone.map(windowKey));
  return windows.filter((window) => !names.has(windowKey(window)));
}

/** What tells windows of one aggregation apart; groups come with their paths in the definition's order. */
export function windowKey(window: GoneWindow): string {
  return `${window.start} ${JSON.stringify(window.group)}`;
}

function byStartThenGroup(a: WindowJson, b: WindowJson): number {
  const difference = Date.parse(a.start) - Date.parse(b.start);
  if (difference !== 0) return difference;
  const [keyA, keyB] = [windowKey(a), windowKey(b)];
  return keyA < keyB ? -1 : Number(keyA > keyB);
}

function secondKey(second: SecondCount): number {
  return second.at;
}

function lastSeconds(seconds: SecondCount[]): SecondCount[] {
  const newest = seconds.reduce((latest, second) => Math.max(latest, second.at), 0);
  return seconds.filter((second) => second.at > newest - MAX_LIVE_SECONDS).sort((a, b) => a.at - b.at);
}
