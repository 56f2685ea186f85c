/**
 * The live socket: what clients and the hub say to each other, as JSON text frames.
 *
 * A client subscribes to topics. Each topic answers with a snapshot (the state) and then deltas (what changed). A delta
 * repeats whole items, so applying one that the snapshot already contained changes nothing (core/live/topics.ts folds).
 * `seq` is `<epoch>.<n>`: n counts a topic's deltas by one, the epoch is one waking life of the hub. A delta whose n is
 * not the last n + 1, in the same epoch, means frames were missed: subscribe again with `after`.
 */

import type { JsonValue } from "../events/event.ts";
import type { EventJson } from "../events/json.ts";

export type { EventJson } from "../events/json.ts";

/** Longest frame a client may send, in UTF-16 units. */
export const MAX_CLIENT_FRAME_LENGTH = 4_096;
/** Topics one socket may follow at a time. */
export const MAX_TOPICS_PER_SOCKET = 32;
/** The exact text of a ping; the platform answers it with PONG_TEXT without waking the hub. Send one when nothing came for a few seconds. */
export const PING_TEXT = '{"type":"ping"}';
/** The exact text of the answer. */
export const PONG_TEXT = '{"type":"pong"}';
/** WebSocket close codes of the hub, in the range left to applications (RFC 6455 section 7.4.2). */
export const CLOSE_REVOKED = 4401;
export const CLOSE_UNHEARD = 4408;
export const CLOSE_TOO_MANY_FRAMES = 4429;

/** What can be followed. */
export type Topic = "alerts" | "events" | `aggregation:${string}` | `dashboard:${string}`;

/** What a client may send. */
export type ClientFrame =
  /** `after` is the seq of the last frame applied; without it, or when it is too old, a snapshot comes first. */
  | { readonly type: "subscribe"; readonly topic: Topic; readonly after?: string }
  | { readonly type: "unsubscribe"; readonly topic: Topic }
  /** Says that frames up to `seq` were handled. A client that sends acks is paced by them; one that never does gets at most 4 frames/s. */
  | { readonly type: "ack"; readonly topic: Topic; readonly seq: string }
  | { readonly type: "ping" };

/** What the hub sends. */
export type ServerFrame = SnapshotFrame | DeltaFrame | GapFrame | ErrorFrame | { readonly type: "pong" };

/** Replaces everything the client knows of the topic. May also come unasked: after a gap, and when the hub woke into a new epoch. */
export interface SnapshotFrame {
  readonly type: "snapshot";
  readonly topic: Topic;
  readonly seq: string;
  /** RFC 3339 with ms: the hub's clock when it sent this, so that ages are right where the viewer's clock is wrong. */
  readonly server_time: string;
  readonly data: TopicSnapshot;
}

/** What changed since the frame before; it applies only on top of that. */
export interface DeltaFrame {
  readonly type: "delta";
  readonly topic: Topic;
  readonly seq: string;
  readonly data: TopicDelta;
}

/** Frames up to `seq` were dropped because this reader was too slow. A snapshot follows as soon as there is room; subscribing again without `after` brings it at once. */
export interface GapFrame {
  readonly type: "gap";
  readonly topic: Topic;
  readonly seq: string;
}

/** `bad_request`: the frame was not understood. `not_found`: no such topic, and the subscription is over. `too_many_requests`: a limit above. `unavailable`: the snapshot will be tried again. */
export interface ErrorFrame {
  readonly type: "error";
  readonly error: "bad_request" | "not_found" | "too_many_requests" | "unavailable";
  readonly message: string;
  readonly topic?: string;
}

/** One window of one group; windows are told apart by `start` and `group`. */
export interface WindowJson {
  /** RFC 3339. */
  readonly start: string;
  /** RFC 3339, exclusive. */
  readonly end: string;
  readonly status: "open" | "closed";
  readonly revision: number;
  readonly partial: boolean;
  readonly group: { readonly [path: string]: JsonValue };
  readonly values: { readonly [measure: string]: JsonValue };
}

/** An alert as the API shows it; only what the fold needs is named here. */
export interface AlertJson {
  readonly id: string;
  readonly status: "pending" | "firing" | "acknowledged" | "resolved" | "suppressed";
  readonly [field: string]: JsonValue;
}

/** `aggregation:<name>`: all open windows and the newest closed ones, ≤ 200. */
export interface AggregationSnapshot {
  readonly name: string;
  /** Epoch ms; null before the first event. */
  readonly watermark: number | null;
  readonly windows: readonly WindowJson[];
}

/** What changed of an aggregation's windows. */
export interface AggregationDelta {
  readonly watermark: number | null;
  /** Changed windows, whole. */
  readonly windows: readonly WindowJson[];
  /** Sessions that became part of another or begin earlier now; one of these names in `windows` as well is there again. */
  readonly gone?: readonly GoneWindow[];
}

/** What told a window that is no more from the others. */
export type GoneWindow = Pick<WindowJson, "start" | "group">;

/** `events`: the latest ≤ 50, newest first. */
export interface EventsSnapshot {
  readonly events: readonly EventJson[];
}

/** Events that came. */
export interface EventsDelta {
  /** The newest ≤ 20 since the last delta, newest first. */
  readonly events: readonly EventJson[];
  /** Events that came in the same time and are not listed. */
  readonly skipped: number;
}

/** Open alerts that a snapshot of `alerts` lists. Of more the most urgent. */
export const MAX_OPEN_LISTED = 500;

/** `alerts`: pending, firing and acknowledged, and the last ≤ 20 resolved. */
export interface AlertsSnapshot {
  readonly alerts: readonly AlertJson[];
}

/** Alerts that changed, whole. */
export interface AlertsDelta {
  readonly alerts: readonly AlertJson[];
}

/** Events of one second of receive time. */
export interface SecondCount {
  /** Epoch seconds. */
  readonly at: number;
  readonly total: number;
  readonly by_type: { readonly [type: string]: number };
}

/** Value and how many events had it, most frequent first. */
export type FacetEntry = readonly [value: JsonValue, events: number];

/** `dashboard:overview`, snapshot and delta alike; a delta carries only what changed. */
export interface DashboardSnapshot {
  /** The last ≤ 300 seconds that had events, oldest first. In a delta: the changed ones. */
  readonly seconds: readonly SecondCount[];
  /** Top 10 over the last 60 minutes by path: `type`, `source`, `severity`, `data.status`, `data.path`. Whole lists each time. */
  readonly facets: { readonly [path: string]: readonly FacetEntry[] };
  /** Epoch ms; null before the first event. */
  readonly watermark: number | null;
  /** Since the tenant began. */
  readonly totals: { readonly events: number; readonly duplicates: number; readonly late: number };
}

export type DashboardDelta = DashboardSnapshot;

export type TopicSnapshot = AggregationSnapshot | EventsSnapshot | AlertsSnapshot | DashboardSnapshot;
export type TopicDelta = AggregationDelta | EventsDelta | AlertsDelta | DashboardDelta;

/** Which topics the hub wants to hear of, and until when (epoch ms). */
export interface Interest {
  readonly topics: readonly Topic[];
  readonly untilMs: number;
}

/** What sources publish to the hub. */
export type PublishedFrame =
  | { readonly topic: `aggregation:${string}`; readonly data: AggregationDelta }
  | { readonly topic: "events"; readonly data: EventsDelta }
  | { readonly topic: "alerts"; readonly data: AlertsDelta }
  | { readonly topic: `dashboard:${string}`; readonly data: DashboardDelta };

const TOPIC = /^(?:alerts|events|(?:aggregation|dashboard):[A-Za-z0-9_.-]{1,128})$/;
const SEQ = /^([A-Za-z0-9]{1,32})\.(0|[1-9][0-9]{0,14})$/;

/** Whether a text names a topic (which need not exist). */
export function isTopic(text: unknown): text is Topic {
  return typeof text === "string" && TOPIC.test(text);
}

/** `<epoch>.<n>`. */
export function formatSeq(epoch: string, n: number): string {
  return `${epoch}.${n}`;
}

/** The parts of a seq; null when it is none. */
export function parseSeq(text: string): { epoch: string; n: number } | null {
  const match = SEQ.exec(text);
  return match?.[1] === undefined ? null : { epoch: match[1], n: Number(match[2]) };
}
