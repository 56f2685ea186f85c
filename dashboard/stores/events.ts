import { computed, signal } from "@preact/signals";
import type { EventJson } from "../../core/live/protocol.ts";
import { foldEvents } from "../../core/live/topics.ts";
import { decodeEvents } from "./decode-topics.ts";

/** More rows than this cannot be followed by eye: a busier table changes once a second and says how much it left out. */
const ROWS_PER_SECOND = 20;
const SECOND_MS = 1_000;

/** The latest events, newest arrival first. */
export interface LatestEvents {
  readonly events: readonly EventJson[];
  /** Events that arrived since the page was opened, shown or not. */
  readonly arrived: number;
}

/** The events of a table, and how many came since the table before this one. */
export interface ShownEvents extends LatestEvents {
  readonly came: number;
}

const latest = signal<LatestEvents | null>(null);
const offered = signal<ShownEvents | null>(null);
const held = signal<ShownEvents | null>(null);
let offeredAtMs = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** What the table shows: the latest, or what was the latest when the viewer asked to hold still; null before the first snapshot. */
export const shownEvents = computed(() => held.value ?? offered.value);

/** Whether the viewer holds the table still. */
export const isPaused = computed(() => held.value !== null);

/** Events that arrived since the table was paused. */
export const arrivedSincePause = computed(() =>
  held.value === null ? 0 : Math.max(0, (latest.value?.arrived ?? 0) - held.value.arrived),
);

/** Take one frame of the topic `events`. */
export function takeEvents(kind: "snapshot" | "delta", data: unknown): void {
  const frame = decodeEvents(data);
  const before = latest.value ?? { events: [], arrived: 0 };
  if (kind === "snapshot") {
    latest.value = { events: frame.events, arrived: before.arrived };
    return offer();
  }
  const known = new Set(before.events.map(({ id }) => id));
  const fresh = frame.events.filter(({ id }) => !known.has(id)).length;
  latest.value = { ...foldEvents(before, frame), arrived: before.arrived + fresh + frame.skipped };
  const came = latest.value.arrived - (offered.value?.arrived ?? 0);
  const waitMs = came > ROWS_PER_SECOND / 4 ? offeredAtMs + SECOND_MS - performance.now() : 0;
  if (waitMs <= 0) offer();
  else timer ??= setTimeout(offer, waitMs);
}

function offer(): void {
  clearTimeout(timer);
  timer = undefined;
  offeredAtMs = performance.now();
  if (latest.value === null) return;
  offered.value = { ...latest.value, came: latest.value.arrived - (offered.value?.arrived ?? latest.value.arrived) };
}

/** Hold the table still, or let it go on. */
export function togglePause(): void {
  held.value = held.value === null ? offered.value : null;
}

/** Forget what was shown: another key may belong to another tenant. */
export function forgetEvents(): void {
  latest.value = null;
  offered.value = null;
  held.value = null;
}
