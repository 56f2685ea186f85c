import { computed, signal } from "@preact/signals";
import type { EventJson } from "../../core/live/protocol.ts";
import { foldEvents } from "../../core/live/topics.ts";
import { decodeEvents } from "./decode-topics.ts";

/** The latest events, newest arrival first. */
export interface LatestEvents {
  readonly events: readonly EventJson[];
  /** Events that arrived since the page was opened, shown or not. */
  readonly arrived: number;
}

/** Null before the first snapshot. */
export const latestEvents = signal<LatestEvents | null>(null);

const held = signal<LatestEvents | null>(null);

/** What the table shows: the latest, or what was the latest when the viewer asked to hold still. */
export const shownEvents = computed(() => held.value ?? latestEvents.value);

export const isPaused = computed(() => held.value !== null);

/** Events that arrived since the table was paused. */
export const arrivedSincePause = computed(() =>
  held.value === null ? 0 : Math.max(0, (latestEvents.value?.arrived ?? 0) - held.value.arrived),
);

/** Take one frame of the topic `events`. */
export function takeEvents(kind: "snapshot" | "delta", data: unknown): void {
  const frame = decodeEvents(data);
  const before = latestEvents.value ?? { events: [], arrived: 0 };
  if (kind === "snapshot") {
    latestEvents.value = { events: frame.events, arrived: before.arrived };
    return;
  }
  const known = new Set(before.events.map(({ id }) => id));
  const fresh = frame.events.filter(({ id }) => !known.has(id)).length;
  latestEvents.value = { ...foldEvents(before, frame), arrived: before.arrived + fresh + frame.skipped };
}

/** Hold the table still, or let it go on. */
export function togglePause(): void {
  held.value = held.value === null ? latestEvents.value : null;
}

/** Forget what was shown: another key may belong to another tenant. */
export function forgetEvents(): void {
  latestEvents.value = null;
  held.value = null;
}
