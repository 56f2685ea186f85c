import { signal } from "@preact/signals";
import type { AggregationSnapshot } from "../../core/live/protocol.ts";
import { foldAggregation } from "../../core/live/topics.ts";
import { decodeAggregation } from "./decode-topics.ts";

/** Windows of the aggregation whose page is open; null before its first snapshot. */
export const followedWindows = signal<AggregationSnapshot | null>(null);

let followed = "";

/** Show the windows of this topic, `aggregation:<name>`, from its next snapshot on. */
export function followWindows(topic: string): void {
  followed = topic;
  followedWindows.value = null;
}

/** Take one frame of a topic `aggregation:<name>`; frames of another than the followed one are too late. */
export function takeAggregation(topic: string, kind: "snapshot" | "delta", data: unknown): void {
  if (topic !== followed) return;
  const frame = decodeAggregation(data);
  const before = followedWindows.value;
  followedWindows.value = kind === "snapshot" || before === null ? frame : foldAggregation(before, frame);
}
