import { batch } from "@preact/signals";
import { takeAggregation } from "../stores/aggregation-windows.ts";
import { takeAlerts } from "../stores/alerts.ts";
import { takeEvents } from "../stores/events.ts";
import { takeOverview } from "../stores/overview.ts";

/** Numbers that change faster than this cannot be read, and painting them costs a core. */
const DELIVER_EVERY_MS = 250;
/** Topics send their frames one after the other; what belongs to one change is shown together. */
const GATHER_MS = 15;

/** A frame that waits for its turn. */
export interface QueuedFrame {
  readonly topic: string;
  readonly kind: "snapshot" | "delta";
  readonly data: unknown;
}

let queue: QueuedFrame[] = [];
let deliveredAtMs = 0;
let timer: ReturnType<typeof setTimeout> | null = null;

/** Put a frame into its store: at once, or nearly, when the last delivery was long enough ago; otherwise with the next one. */
export function queueFrame(frame: QueuedFrame): void {
  const waiting = frame.kind === "snapshot" ? queue.filter((earlier) => earlier.topic !== frame.topic) : queue;
  queue = [...waiting, frame];
  timer ??= setTimeout(deliver, Math.max(GATHER_MS, deliveredAtMs + DELIVER_EVERY_MS - performance.now()));
}

/** Drop what waits: the viewer has signed out. */
export function dropQueue(): void {
  queue = [];
}

function deliver(): void {
  timer = null;
  deliveredAtMs = performance.now();
  const frames = queue;
  queue = [];
  batch(() => {
    for (const { topic, kind, data } of frames) take(topic, kind, data);
  });
}

function take(topic: string, kind: "snapshot" | "delta", data: unknown): void {
  switch (topic) {
    case "dashboard:overview":
      return takeOverview(kind, data);
    case "events":
      return takeEvents(kind, data);
    case "alerts":
      return takeAlerts(kind, data);
    default:
      return takeAggregation(topic, kind, data);
  }
}
