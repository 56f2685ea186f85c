import { describe, expect, test } from "vitest";
import { createConnection, type ConnectionState } from "../../../core/live/connection-state.ts";
import { compact, counted, percent, rate } from "../../../dashboard/format/number.ts";
import { duration, isSameDay } from "../../../dashboard/format/time.ts";
import { label, summary } from "../../../dashboard/format/value.ts";
import { connectionWords } from "../../../dashboard/live/connection-words.ts";

const NOW_MS = 1_800_000_000_000;

function connected(changes: Partial<ConnectionState>): ConnectionState {
  return { ...createConnection([], NOW_MS), ...changes };
}

describe("numbers", () => {
  test("small numbers are written out, large ones shortened", () => {
    expect(compact(0)).toBe("0");
    expect(compact(999)).toBe("999");
    expect(compact(4_822_657)).toMatch(/^4[.,]8.?M/);
  });

  test("a rate has a digit after the point only where it tells something", () => {
    expect(rate(0.44)).toMatch(/^0[.,]4$/);
    expect(rate(144.4)).toBe("144");
  });

  test("shares below a tenth of a per cent do not look like nothing, and of nothing there is no share", () => {
    expect(percent(1, 100_000)).toBe("<0.1%");
    expect(percent(0, 10)).toBe("0%");
    expect(percent(89, 100)).toBe("89%");
    expect(percent(0, 0)).toBe("–");
  });

  test("one event, two events", () => {
    expect(counted(1, "event")).toBe("1 event");
    expect(counted(2, "event")).toBe("2 events");
  });
});

describe("times", () => {
  test("a length of time is told in its two largest units", () => {
    expect(duration(-5)).toBe("0s");
    expect(duration(59_999)).toBe("59s");
    expect(duration(134_000)).toBe("2m 14s");
    expect(duration(3_600_000)).toBe("1h");
    expect(duration(11_100_000)).toBe("3h 5m");
    expect(duration(93_600_000)).toBe("1d 2h");
  });

  test("days are compared in the viewer's zone, also over midnight", () => {
    const midnight = new Date(2026, 2, 29).getTime();
    expect(isSameDay(midnight - 1, midnight)).toBe(false);
    expect(isSameDay(midnight, midnight + 22 * 3_600_000)).toBe(true);
  });
});

describe("values", () => {
  test("missing and empty values are named, text is bare, the rest is JSON", () => {
    expect(label(null)).toBe("(none)");
    expect(label("")).toBe("(empty)");
    expect(label("/cart")).toBe("/cart");
    expect(label(404)).toBe("404");
    expect(label({ a: [1] })).toBe('{"a":[1]}');
  });

  test("a summary leaves out what is empty and stops after six fields", () => {
    expect(summary({ path: "/", query: "", user: null, status: 200 })).toBe("path / · status 200");
    expect(summary({ a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7 })).toBe("a 1 · b 2 · c 3 · d 4 · e 5 · f 6");
  });
});

describe("what is said of the connection", () => {
  test("live, and how long it has been quiet", () => {
    expect(connectionWords(connected({ phase: "live" }), NOW_MS, NOW_MS - 2_000)).toMatchObject({
      tone: "ok",
      words: "Live",
    });
    expect(connectionWords(connected({ phase: "live" }), NOW_MS, NOW_MS - 200_000).words).toBe(
      "Live, no events for 3m 20s",
    );
  });

  test("stale says for how long, lost says when it tries again and lets the viewer try now", () => {
    const stale = connected({ phase: "stale", heardAtMs: NOW_MS - 7_000 });
    expect(connectionWords(stale, NOW_MS, null)).toMatchObject({ tone: "warning", words: "No data for 7s" });
    const lost = connected({ phase: "backoff", lostAtMs: NOW_MS, retryAtMs: NOW_MS + 4_200 });
    expect(connectionWords(lost, NOW_MS, null)).toEqual({
      tone: "error",
      words: "Disconnected, retrying in 4s",
      canRetry: true,
    });
  });

  test("the first connection is not called a disconnection", () => {
    expect(connectionWords(connected({ phase: "opening" }), NOW_MS, null).words).toBe("Connecting");
    expect(connectionWords(connected({ phase: "opening", lostAtMs: NOW_MS }), NOW_MS, null).words).toBe(
      "Disconnected, connecting",
    );
  });
});
