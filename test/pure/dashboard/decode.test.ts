import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeFrame } from "../../../dashboard/live/frame.ts";
import { viewAlert } from "../../../dashboard/stores/alert-view.ts";
import {
  decodeAggregation,
  decodeAlerts,
  decodeEvents,
  decodeOverview,
} from "../../../dashboard/stores/decode-topics.ts";

const NOTHING = { seconds: [], facets: {}, watermark: null, totals: { events: 0, duplicates: 0, late: 0 } };

function openness(status: string): boolean[] {
  return decodeAlerts({ alerts: [{ id: "1", status }] }).alerts.map((alert) => viewAlert(alert).isOpen);
}

describe("frames", () => {
  test("a snapshot brings its data and the server's clock", () => {
    const message = JSON.stringify({
      type: "snapshot",
      topic: "events",
      seq: "a.1",
      server_time: "2026-11-22T10:00:00.000Z",
      data: {},
    });
    expect(decodeFrame(message)).toEqual({
      frame: { type: "snapshot", topic: "events", seq: "a.1", data: {} },
      serverTimeMs: Date.UTC(2026, 10, 22, 10),
    });
  });

  test("whatever is not a frame of ours is a sign of life and nothing else", () => {
    for (const message of [
      "",
      "{",
      "[]",
      "null",
      '{"type":"snapshot"}',
      '{"type":"new"}',
      '{"type":"pong"}',
      new Blob([]),
    ]) {
      expect(decodeFrame(message).frame).toEqual({ type: "other" });
    }
  });
});

describe("topics", () => {
  test("no JSON whatsoever makes decoding throw", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        decodeOverview(value, NOTHING);
        decodeOverview({ seconds: value, facets: { a: value }, totals: value, watermark: value }, NOTHING);
        decodeEvents({ events: [value, { id: "1", timestamp: "x", data: value, tags: value }] });
        decodeAlerts({
          alerts: [value, { id: "1", status: "firing", rule: value, group: value, values: value }],
        }).alerts.map(viewAlert);
      }),
    );
  });

  test("a delta keeps the totals and watermark that it does not carry", () => {
    const before = { ...NOTHING, watermark: 5, totals: { events: 7, duplicates: 2, late: 1 } };
    expect(decodeOverview({ seconds: [] }, before)).toMatchObject({ watermark: 5, totals: before.totals });
    expect(decodeOverview({ watermark: null }, before).watermark).toBeNull();
  });

  test("an event without id or time is left out, its neighbours stay", () => {
    const event = {
      id: "1",
      timestamp: "2026-11-22T10:00:00.000Z",
      type: "a",
      source: "s",
      data: { k: 1 },
      tags: ["x", 3],
    };
    const { events } = decodeEvents({ events: [{ type: "a" }, event] });
    expect(events).toMatchObject([{ id: "1", severity: "medium", received_at: event.timestamp, tags: ["x"] }]);
  });

  test("an alert counts as open while it fires or was only acknowledged", () => {
    expect(["pending", "firing", "acknowledged", "resolved", "suppressed"].map(openness)).toEqual([
      [false],
      [true],
      [true],
      [false],
      [false],
    ]);
    expect(openness("asleep")).toEqual([]);
  });
});

test("a delta of sessions names those that are gone; what is not a name is left out", () => {
  const data = {
    watermark: 1,
    windows: [],
    gone: [{ start: "2026-11-22T10:00:00.000Z", group: { "data.ip": "a" } }, 7],
  };
  expect(decodeAggregation(data).gone).toEqual([{ start: "2026-11-22T10:00:00.000Z", group: { "data.ip": "a" } }]);
});
