import { parseSeq } from "./protocol.ts";

/** What one reader knows of one topic's place in the stream. */
export interface TopicPlace {
  /** Sequence of the last frame applied, `<epoch>.<n>`; null before the first snapshot. */
  readonly seq: string | null;
  /** What was asked for and not answered yet. */
  readonly waiting: "nothing" | "resume" | "snapshot";
  /** When it was asked, epoch ms. */
  readonly askedAtMs: number;
}

/** Subscribe request of one topic; `after` asks to go on behind a frame instead of starting with a snapshot. */
export interface SubscribeRequest {
  readonly type: "subscribe";
  readonly topic: string;
  readonly after?: string;
}

/** What to do about a frame: show it, leave it out, or ask the server again. */
export type FrameVerdict =
  | { readonly do: "apply"; readonly place: TopicPlace }
  | { readonly do: "skip" }
  | { readonly do: "ask"; readonly place: TopicPlace };

/** A topic nobody has subscribed to yet. */
export const UNKNOWN_PLACE: TopicPlace = { seq: null, waiting: "snapshot", askedAtMs: 0 };

/** The place after subscribing now: behind the last applied frame when there is one. */
export function asked(place: TopicPlace, nowMs: number): TopicPlace {
  return { seq: place.seq, waiting: place.seq === null ? "snapshot" : "resume", askedAtMs: nowMs };
}

/** The place after asking for everything anew, because frames were lost. */
export function askedAnew(nowMs: number): TopicPlace {
  return { seq: null, waiting: "snapshot", askedAtMs: nowMs };
}

/** The request that goes with a place made by `asked` or `askedAnew`. */
export function subscribeRequest(topic: string, place: TopicPlace): SubscribeRequest {
  return place.seq === null ? { type: "subscribe", topic } : { type: "subscribe", topic, after: place.seq };
}

/** The place behind a frame that was applied. A snapshot always is: it is the whole truth at its sequence. */
export function placeBehind(seq: string): TopicPlace {
  return { seq, waiting: "nothing", askedAtMs: 0 };
}

/**
 * Judge a delta by its sequence: the next one is applied, an old one left out, a jump asks to go on behind the last applied one.
 * While an answer is awaited further jumps are left out: they are on the way already and the answer will hold them.
 */
export function judgeDelta(place: TopicPlace, seq: string, nowMs: number): FrameVerdict {
  if (place.seq === null) return { do: "skip" };
  const step = stepsBetween(place.seq, seq);
  if (step === 1) return { do: "apply", place: placeBehind(seq) };
  if (place.waiting !== "nothing" || (step !== null && step <= 0)) return { do: "skip" };
  return { do: "ask", place: asked(place, nowMs) };
}

/** How many frames `to` is ahead of `from`; null when they are of different epochs or not sequences at all. */
function stepsBetween(from: string, to: string): number | null {
  const a = parseSeq(from);
  const b = parseSeq(to);
  return a === null || b === null || a.epoch !== b.epoch ? null : b.n - a.n;
}
