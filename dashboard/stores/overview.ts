import { computed, signal } from "@preact/signals";
import type { DashboardSnapshot, FacetEntry } from "../../core/live/protocol.ts";
import { foldDashboard } from "../../core/live/topics.ts";
import { assignSlots } from "../chart/slots.ts";
import { averageRate, bySecond, peakRate, stackSeconds, type Stack } from "../chart/stack.ts";
import { knownUntilMs } from "../live/connection-signal.ts";
import { decodeOverview } from "./decode-topics.ts";

/** Seconds shown in the chart: the 300 of a snapshot less those that are not complete or already gone when they are drawn. */
export const CHART_SECONDS = 296;
/** The rate is averaged over this many seconds: long enough to hold still, short enough to follow. */
export const RATE_SECONDS = 10;
/** A second counts as complete this long after its end: its events have come through the queue by then. */
const SETTLE_MS = 1_500;

const NOTHING: DashboardSnapshot = {
  seconds: [],
  facets: {},
  watermark: null,
  totals: { events: 0, duplicates: 0, late: 0 },
};

/** Null before the first snapshot. */
export const overview = signal<DashboardSnapshot | null>(null);

/** Take one frame of the topic `dashboard:overview`. */
export function takeOverview(kind: "snapshot" | "delta", data: unknown): void {
  const before = overview.value ?? NOTHING;
  const frame = decodeOverview(data, kind === "delta" ? before : NOTHING);
  overview.value = kind === "delta" ? foldDashboard(before, frame) : frame;
}

const seconds = computed(() => bySecond(overview.value?.seconds ?? []));

/** The last second that is complete, epoch seconds. It stands still while nothing is heard: zeros that nobody measured are not drawn. */
const lastSecond = computed(() => Math.floor((knownUntilMs.value - SETTLE_MS) / 1_000) - 1);

/** Events per second, averaged over the last RATE_SECONDS. */
export const currentRate = computed(() => averageRate(seconds.value, lastSecond.value, RATE_SECONDS));

/** Events of the busiest second in the chart. */
export const highestRate = computed(() => peakRate(seconds.value, lastSecond.value, CHART_SECONDS));

/** Events received in the last hour: every event has exactly one severity, so the severities add up to all of them. */
export const eventsLastHour = computed(() => facet("severity").reduce((sum, [, count]) => sum + count, 0));

/** Colour slots of types, kept while they are shown so that a type never changes its colour under the reader. */
let slots: ReadonlyMap<string, number> = new Map();

const isKnown = computed(() => overview.value !== null);

/** The chart's series: kept colours, stable order. It changes once a second, when a second is complete, not with every frame. */
export const chartStack = computed<Stack>(() => {
  const counts = isKnown.value ? seconds.peek() : new Map();
  return stackSeconds(counts, lastSecond.value, CHART_SECONDS, (names) => {
    slots = assignSlots(slots, names);
    return slots;
  });
});

/** The most frequent values of a field in the last hour, with their counts. */
export function facet(path: string): readonly FacetEntry[] {
  return overview.value?.facets[path] ?? [];
}

/** Forget what was shown: another key may belong to another tenant. */
export function forgetOverview(): void {
  overview.value = null;
  slots = new Map();
}
