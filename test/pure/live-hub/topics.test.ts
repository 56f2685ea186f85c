import { array, assert, constantFrom, integer, property, record } from "fast-check";
import { describe, expect, test } from "vitest";
import type { AlertJson, DashboardDelta, EventJson, PublishedFrame, WindowJson } from "../../../core/live/protocol.ts";
import {
  foldAggregation,
  foldAlerts,
  foldDashboard,
  foldEvents,
  MAX_DELTA_EVENTS,
  MAX_LIVE_EVENTS,
  MAX_LIVE_WINDOWS,
  MAX_LIVE_RESOLVED,
  mergeFrames,
} from "../../../core/live/topics.ts";
import { windowOf } from "./client.ts";

function event(id: number): EventJson {
  const at = new Date(id).toISOString();
  return {
    id: `e${id}`,
    type: "t",
    source: "s",
    timestamp: at,
    received_at: at,
    severity: "medium",
    data: {},
    metadata: {},
  };
}

function alert(id: string, status: AlertJson["status"]): AlertJson {
  return { id, status };
}

function overview(at: number, total: number): DashboardDelta {
  return {
    seconds: [{ at, total, by_type: { t: total } }],
    facets: { [`path${at % 2}`]: [[at, total]] },
    watermark: at,
    totals: { events: total, duplicates: 0, late: 0 },
  };
}

function merged<Frame extends PublishedFrame>(older: Frame, newer: Frame): Frame["data"] {
  return mergeFrames(older, newer).data;
}

const windows = array(
  record({
    minute: integer({ min: 0, max: 20 }),
    count: integer(),
    status: constantFrom("open" as const, "closed" as const),
  }),
  { maxLength: 30 },
);
const toWindows = (list: { minute: number; count: number; status: "open" | "closed" }[]): WindowJson[] =>
  list.map(({ minute, count, status }) => ({ ...windowOf(minute, count), status }));

const minutes = array(integer({ min: 0, max: 20 }), { maxLength: 5 });
const deltaOf = (watermark: number, list: Parameters<typeof toWindows>[0], gone: readonly number[]) => ({
  watermark,
  windows: toWindows(list),
  gone: gone.map((minute) => windowOf(minute, 0)).map(({ start, group }) => ({ start, group })),
});

describe("two deltas in a row do what their merger does", () => {
  test("for windows", () => {
    assert(
      property(windows, windows, minutes, windows, minutes, (before, first, firstGone, second, secondGone) => {
        const state = foldAggregation(
          { name: "n", watermark: null, windows: [] },
          { watermark: 1, windows: toWindows(before) },
        );
        const a = { topic: "aggregation:n" as const, data: deltaOf(2, first, firstGone) };
        const b = { topic: "aggregation:n" as const, data: deltaOf(3, second, secondGone) };
        const oneByOne = foldAggregation(foldAggregation(state, a.data), b.data);
        expect(foldAggregation(state, merged<typeof a>(a, b))).toEqual(oneByOne);
      }),
    );
  });

  test("for events, whose lists are cut the same way", () => {
    const a = { topic: "events" as const, data: { events: [3, 2, 1].map(event), skipped: 4 } };
    const b = {
      topic: "events" as const,
      data: { events: Array.from({ length: MAX_DELTA_EVENTS }, (_, at) => event(50 - at)), skipped: 1 },
    };
    const result = merged<typeof a>(a, b);
    expect(result.events.map(({ id }) => id)).toEqual(b.data.events.map(({ id }) => id));
    expect(result.skipped).toBe(8);
  });

  test("for alerts", () => {
    const state = { alerts: [alert("a", "firing"), alert("b", "firing")] };
    const a = { topic: "alerts" as const, data: { alerts: [alert("a", "acknowledged"), alert("c", "pending")] } };
    const b = { topic: "alerts" as const, data: { alerts: [alert("a", "resolved")] } };
    expect(foldAlerts(state, merged<typeof a>(a, b))).toEqual(foldAlerts(foldAlerts(state, a.data), b.data));
  });

  test("for the overview", () => {
    const a = { topic: "dashboard:overview" as const, data: overview(1_000, 5) };
    const b = { topic: "dashboard:overview" as const, data: overview(1_001, 7) };
    const state = overview(900, 1);
    expect(foldDashboard(state, merged<typeof a>(a, b))).toEqual(foldDashboard(foldDashboard(state, a.data), b.data));
  });

  test("frames of two topics are never merged", () => {
    const a = { topic: "alerts" as const, data: { alerts: [] } };
    expect(() => mergeFrames(a, { topic: "events", data: { events: [], skipped: 0 } })).toThrow("two topics");
  });
});

describe("states stay bounded", () => {
  test("the oldest closed windows go first, open ones stay", () => {
    const many = Array.from({ length: MAX_LIVE_WINDOWS + 10 }, (_, minute) => ({
      ...windowOf(minute, 1),
      status: "closed" as const,
    }));
    const open = windowOf(0, 1);
    const state = foldAggregation(
      { name: "n", watermark: null, windows: [] },
      { watermark: null, windows: [...many, open] },
    );
    expect(state.windows).toHaveLength(MAX_LIVE_WINDOWS);
    expect(state.windows[0]).toEqual(open);
    expect(state.windows[1]?.start).toBe(windowOf(11, 1).start);
  });

  test("events keep the newest, an event that came twice is listed once", () => {
    const first = foldEvents(
      { events: [] },
      { events: Array.from({ length: 20 }, (_, at) => event(20 - at)), skipped: 0 },
    );
    expect(foldEvents(first, { events: [event(20)], skipped: 0 }).events).toHaveLength(20);
    const state = Array.from({ length: 5 }).reduce<{ events: readonly EventJson[] }>(
      (folded, _, round) =>
        foldEvents(folded, {
          events: Array.from({ length: 20 }, (__, at) => event(1_000 + round * 20 - at)),
          skipped: 0,
        }),
      first,
    );
    expect(state.events).toHaveLength(MAX_LIVE_EVENTS);
    expect(state.events[0]?.id).toBe("e1080");
  });

  test("all unresolved alerts stay, and the last resolved ones", () => {
    const resolved = Array.from({ length: 30 }, (_, at) => ({ id: `r${at}`, status: "resolved" as const }));
    const firing = Array.from({ length: 30 }, (_, at) => ({ id: `f${at}`, status: "firing" as const }));
    const state = foldAlerts({ alerts: [] }, { alerts: [...resolved, ...firing] });
    expect(state.alerts.filter(({ status }) => status === "resolved")).toHaveLength(MAX_LIVE_RESOLVED);
    expect(state.alerts.filter(({ status }) => status === "firing")).toHaveLength(30);
  });

  test("the chart keeps five minutes, in order", () => {
    const seconds = [700, 400, 401, 699].map((at) => ({ at, total: 1, by_type: {} }));
    const empty = { seconds: [], facets: {}, watermark: null, totals: { events: 0, duplicates: 0, late: 0 } };
    expect(foldDashboard(empty, { ...empty, seconds }).seconds.map(({ at }) => at)).toEqual([401, 699, 700]);
  });
});

test("windows that a delta says are gone are taken out before its own are put in", () => {
  const [first, second, third] = [windowOf(1, 1), windowOf(2, 1), windowOf(3, 1)];
  const state = { name: "n", watermark: 1, windows: [first, second, third] };
  const gone = [first, second].map(({ start, group }) => ({ start, group }));
  const joined = windowOf(1, 2);
  expect(foldAggregation(state, { watermark: 2, windows: [joined], gone }).windows).toEqual([joined, third]);
});
