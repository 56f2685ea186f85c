import { describe, expect, test } from "vitest";
import { parseClientFrame } from "../../../core/live/client-frame.ts";
import { formatSeq, isTopic, MAX_CLIENT_FRAME_LENGTH, parseSeq } from "../../../core/live/protocol.ts";

describe("what clients send", () => {
  test.each([
    ['{"type":"subscribe","topic":"alerts"}', { type: "subscribe", topic: "alerts" }],
    [
      '{"type":"subscribe","topic":"aggregation:by-status_1.x","after":"e1.7"}',
      { type: "subscribe", topic: "aggregation:by-status_1.x", after: "e1.7" },
    ],
    ['{"type":"subscribe","topic":"events","after":null}', { type: "subscribe", topic: "events" }],
    ['{"type":"subscribe","topic":"events","after":7}', { type: "subscribe", topic: "events", after: "7" }],
    ['{"type":"unsubscribe","topic":"dashboard:overview"}', { type: "unsubscribe", topic: "dashboard:overview" }],
    ['{ "type": "ping" }', { type: "ping" }],
    ['{"type":"ack","topic":"events","seq":"e1.0"}', { type: "ack", topic: "events", seq: "e1.0" }],
  ])("%s is understood", (text, frame) => {
    expect(parseClientFrame(text)).toEqual({ ok: true, frame });
  });

  test.each([
    "",
    "null",
    "[]",
    "7",
    "{",
    "{}",
    '{"type":"publish","topic":"events"}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","topic":"aggregation:"}',
    '{"type":"subscribe","topic":"aggregation:a b"}',
    '{"type":"subscribe","topic":["events"]}',
    '{"type":"subscribe","topic":"secrets"}',
    '{"type":"ack","topic":"events"}',
    '{"type":"ack","topic":"events","seq":"7"}',
    '{"type":"ack","topic":"events","seq":7}',
  ])("%j is refused with a reason", (text) => {
    const parsed = parseClientFrame(text);
    expect(parsed.ok).toBe(false);
    expect(parsed.ok ? "" : parsed.message).not.toBe("");
  });

  test("the longest frame is read, one character more is not", () => {
    const frame = '{"type":"subscribe","topic":"events"}';
    expect(parseClientFrame(frame.padEnd(MAX_CLIENT_FRAME_LENGTH)).ok).toBe(true);
    expect(parseClientFrame(frame.padEnd(MAX_CLIENT_FRAME_LENGTH + 1)).ok).toBe(false);
  });

  test("seqs are read as they are written, and nothing else is one", () => {
    expect(parseSeq(formatSeq("a1B2", 17))).toEqual({ epoch: "a1B2", n: 17 });
    for (const text of ["", ".", "e.", ".1", "e.01", "e.1.2", "e.-1", "e.1e3", "é.1", "e.9999999999999999"])
      expect(parseSeq(text)).toBeNull();
  });

  test("a topic's name has at most 128 characters", () => {
    expect(isTopic(`aggregation:${"x".repeat(128)}`)).toBe(true);
    expect(isTopic(`aggregation:${"x".repeat(129)}`)).toBe(false);
  });
});
