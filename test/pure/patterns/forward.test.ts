import { describe, expect, test } from "vitest";
import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { type PatternDefinition, patternSchema } from "../../../core/patterns/definition.ts";
import { type FeedCounts, gather, type GatheredRows, KEEPERS, keeperOf } from "../../../core/patterns/forward.ts";
import { type PatternPlan, planPattern } from "../../../core/patterns/plan.ts";

const event = (id: string, fields: Partial<StreamEvent> = {}): StreamEvent => ({
  id,
  type: "a",
  source: "s",
  timestamp: 1000,
  receivedAt: 1000,
  severity: "low",
  data: {},
  metadata: {},
  ...fields,
});

function plan(more: Partial<PatternDefinition> = {}): PatternPlan {
  const given = { name: "p", kind: "sequence", within: "1m", first: { filter: "event.type == 'a'" } };
  const definition = patternSchema.parse({ ...given, second: { filter: "event.data.n > 1" }, ...more });
  const planned = planPattern({ id: 1, version: 1, definition });
  if (!planned.ok) throw new Error("does not compile");
  return planned.plan;
}

/** All rows gathered from these events, with the keeper each goes to, and what was counted. */
function gathered(given: PatternPlan, events: readonly StreamEvent[]) {
  const into = new Map<number, GatheredRows>();
  const counts: FeedCounts = { filterErrors: 0, unkeyed: 0 };
  const batch = EventBatch.fromEvents(events);
  const total = gather([given], batch, Uint32Array.from(events.keys()), into, () => counts);
  const rows = [...into].flatMap(([keeper, { id, key, steps }]) =>
    id.map((one, k) => ({ id: one, key: key[k] ?? "", steps: steps[k], keeper })),
  );
  expect(total).toBe(rows.length);
  return { rows: rows.toSorted((a, b) => (a.id < b.id ? -1 : 1)), counts };
}

describe("what is forwarded", () => {
  test("are the events that pass a step's filter, marked with each step they pass", () => {
    const events = [
      event("1"),
      event("2", { type: "b", data: { n: 2 } }),
      event("3", { data: { n: 2 } }),
      event("4", { type: "b", data: { n: 1 } }),
    ];
    const { rows } = gathered(plan(), events);
    expect(rows.map(({ id, steps }) => [id, steps])).toEqual([
      ["1", 1],
      ["2", 2],
      ["3", 3],
    ]);
  });

  test("goes by its key to one keeper, whatever batch it comes in, and keys of all kinds are told apart", () => {
    const values = ["1", 1, true, { a: 1, b: 2 }, { b: 2, a: 1 }, [1]];
    const keyed = plan({ key: "data.key" });
    const { rows } = gathered(
      keyed,
      values.map((key, k) => event(`${k}`, { data: { key } })),
    );
    expect(rows.map(({ key }) => key)).toEqual(['"1"', "1", "true", '{"a":1,"b":2}', '{"a":1,"b":2}', "[1]"]);
    for (const { key, keeper } of rows) expect(keeper).toBe(keeperOf(keyed.id, key));
    const used = new Set(Array.from({ length: 200 }, (_, k) => keeperOf(1, `"user-${k}"`)));
    expect(used.size).toBe(KEEPERS);
  });

  test("is nothing without a key, with one too long, or about patterns; a filter that fails is counted", () => {
    const { rows, counts } = gathered(plan({ key: "user_id" }), [
      event("none"),
      event("ok", { user_id: "ann", data: { n: 5 } }),
      event("own", { user_id: "ann", type: "pattern.matched", data: { n: 5 } }),
      event("wrong", { user_id: "ann", data: { n: "text" } }),
    ]);
    expect(rows.map(({ id }) => id)).toEqual(["ok", "wrong"]);
    expect(counts.unkeyed).toBe(1);
    expect(counts.filterErrors).toBeGreaterThan(0);
    const long = [event("long", { data: { key: "x".repeat(2000) } })];
    expect(gathered(plan({ key: "data.key" }), long)).toEqual({ rows: [], counts: { filterErrors: 1, unkeyed: 1 } });
  });
});
