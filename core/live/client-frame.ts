import { isTopic, MAX_CLIENT_FRAME_LENGTH, parseSeq } from "./protocol.ts";
import type { ClientFrame } from "./protocol.ts";

/** Reads what a client sent. `message` says what is wrong in words for its developer. */
export function parseClientFrame(text: string): { ok: true; frame: ClientFrame } | { ok: false; message: string } {
  if (text.length > MAX_CLIENT_FRAME_LENGTH)
    return refused(`A frame may have at most ${MAX_CLIENT_FRAME_LENGTH} characters.`);
  const value = parseObject(text);
  if (value === null) return refused("A frame must be a JSON object.");
  const { type, topic } = value;
  if (type === "ping") return { ok: true, frame: { type } };
  if (type !== "subscribe" && type !== "unsubscribe" && type !== "ack") {
    return refused('"type" must be "subscribe", "unsubscribe", "ack" or "ping".');
  }
  if (!isTopic(topic)) return refused('"topic" must be "alerts", "events", "aggregation:<name>" or "dashboard:<id>".');
  if (type === "unsubscribe") return { ok: true, frame: { type, topic } };
  if (type === "ack") {
    const seq = value["seq"];
    if (typeof seq !== "string" || parseSeq(seq) === null) return refused('"seq" must be the seq of a frame.');
    return { ok: true, frame: { type, topic, seq } };
  }
  const after = value["after"];
  if (after === undefined || after === null) return { ok: true, frame: { type, topic } };
  // What is not a seq of ours is treated like one too old: the answer is a snapshot, never an error.
  return { ok: true, frame: { type, topic, after: String(after) } };
}

function refused(message: string): { ok: false; message: string } {
  return { ok: false, message };
}

function parseObject(text: string): Record<string, unknown> | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : null;
}
