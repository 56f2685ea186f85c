import {
  enter,
  isOpen,
  unchanged,
  type ConnectionAction,
  type ConnectionState,
  type HeardFrame,
  type Step,
  type StepContext,
} from "./connection-state.ts";
import {
  asked,
  askedAnew,
  judgeDelta,
  placeBehind,
  subscribeRequest,
  UNKNOWN_PLACE,
  type TopicPlace,
} from "./connection-topics.ts";

/** A subscription that was not answered is asked again, for a snapshot. */
const ANSWER_TIMEOUT_MS = 3_000;

/** Subscribe to every topic on a new socket, each behind its last applied frame. */
export function askForAll(state: ConnectionState, { nowMs }: StepContext): Step {
  const topics = Object.fromEntries(Object.entries(state.topics).map(([topic, place]) => [topic, asked(place, nowMs)]));
  return { state: { ...state, topics }, actions: Object.entries(topics).map(([topic, place]) => ask(topic, place)) };
}

/** Ask anew where a subscription was not answered. */
export function askOverdue(state: ConnectionState, { nowMs }: StepContext): Step {
  const overdue = Object.keys(state.topics).filter((topic) => isOverdue(state.topics[topic], nowMs));
  return overdue.length === 0 ? unchanged(state) : askAnew(state, overdue, nowMs);
}

/** One frame, or any other sign of life, from the open socket. */
export function heard(before: ConnectionState, frame: HeardFrame, context: StepContext): Step {
  const fresh = before.phase === "stale" ? enter(before, "live", context) : before;
  const state = { ...fresh, heardAtMs: context.nowMs };
  if (frame.type === "other") return unchanged(state);
  if (frame.type === "gap") return missed(state, frame.topic, context);
  const place = Object.hasOwn(state.topics, frame.topic) ? state.topics[frame.topic] : undefined;
  if (place === undefined) return unchanged(state);
  const verdict =
    frame.type === "snapshot"
      ? ({ do: "apply", place: placeBehind(frame.seq) } as const)
      : judgeDelta(place, frame.seq, context.nowMs);
  if (verdict.do === "skip") return unchanged(state);
  const next = { ...state, topics: { ...state.topics, [frame.topic]: verdict.place } };
  if (verdict.do === "ask") return { state: next, actions: [ask(frame.topic, verdict.place)] };
  const { topic, seq, data } = frame;
  // A reader that acks is sent as much as it can take; one that never does is held back to a few frames a second.
  return {
    state: next,
    actions: [{ type: "apply", kind: frame.type, topic, data }, send({ type: "ack", topic, seq })],
  };
}

/** The server dropped frames for this reader: only a snapshot makes the numbers right again. */
function missed(state: ConnectionState, topic: string | null, { nowMs }: StepContext): Step {
  const names =
    topic === null ? Object.keys(state.topics) : [topic].filter((name) => Object.hasOwn(state.topics, name));
  return askAnew(state, names, nowMs);
}

function askAnew(state: ConnectionState, names: readonly string[], nowMs: number): Step {
  const place = askedAnew(nowMs);
  const topics = { ...state.topics, ...Object.fromEntries(names.map((name) => [name, place])) };
  return { state: { ...state, topics }, actions: names.map((name) => ask(name, place)) };
}

function isOverdue(place: TopicPlace | undefined, nowMs: number): boolean {
  return place !== undefined && place.waiting !== "nothing" && nowMs - place.askedAtMs > ANSWER_TIMEOUT_MS;
}

/** Follow one more topic. */
export function subscribe(state: ConnectionState, topic: string, context: StepContext): Step {
  if (Object.hasOwn(state.topics, topic)) return unchanged(state);
  const place = asked(UNKNOWN_PLACE, context.nowMs);
  const next = { ...state, topics: { ...state.topics, [topic]: place } };
  return { state: next, actions: isOpen(state) ? [ask(topic, place)] : [] };
}

/** Stop following a topic. */
export function unsubscribe(state: ConnectionState, topic: string): Step {
  const { [topic]: gone, ...topics } = state.topics;
  if (gone === undefined) return unchanged(state);
  const actions: ConnectionAction[] = isOpen(state) ? [send({ type: "unsubscribe", topic })] : [];
  return { state: { ...state, topics }, actions };
}

function ask(topic: string, place: TopicPlace): ConnectionAction {
  return send(subscribeRequest(topic, place));
}

function send(message: Extract<ConnectionAction, { type: "send" }>["message"]): ConnectionAction {
  return { type: "send", message };
}
