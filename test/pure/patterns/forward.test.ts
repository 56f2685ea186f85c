import { describe, expect, test } from "vitest";
import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { type PatternDefinition, patternSchema } from "../../../core/patterns/definition.ts";
import { Gathering, KEEPERS, keeperOf } from "../../../core/patterns/forward.ts";
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
  const gathering = new Gathering();
  gathering.add([given], EventBatch.fromEvents(events), Uint32Array.from(events.keys()));
  const rows = [...gathering.byKeeper].flatMap(([keeper, parts]) =>
    parts.flatMap(({ keys, of, id, steps }) =>
      id.map((one, k) => ({ id: one, key: keys[of[k] ?? -1]?.[1], steps: steps[k], keeper })),
    ),
  );
  expect(gathering.rows).toBe(rows.length);
  return { rows: rows.toSorted((a, b) => (a.id < b.id ? -1 : 1)), counts: gathering.counts.get(given.id) };
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
    for (const { key, keeper } of rows) expect(keeper).toBe(keeperOf(keyed.id, key ?? ""));
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
    expect(counts?.unkeyed).toBe(1);
    expect(counts?.filterErrors).toBeGreaterThan(0);
    const long = [event("long", { data: { key: "x".repeat(2000) } })];
    expect(gathered(plan({ key: "data.key" }), long)).toEqual({ rows: [], counts: { filterErrors: 1, unkeyed: 1 } });
  });

  test("is cut into parts that fit a log row each, with every event and every key's events in order", () => {
    const keyed = plan({ key: "user_id", second: { filter: "false" } });
    const gathering = new Gathering();
    const events = Array.from({ length: 60_000 }, (_, k) =>
      event(`${k}-${"x".repeat(100)}`, { user_id: `user-${k % 90}` }),
    );
    for (let from = 0; from < events.length; from += 500) {
      const some = events.slice(from, from + 500);
      gathering.add([keyed], EventBatch.fromEvents(some), Uint32Array.from(some.keys()));
    }
    let [parts, rows] = [0, 0];
    for (const [keeper, list] of gathering.byKeeper) {
      const nextOf = new Map<string, number>();
      for (const part of list) {
        parts++;
        expect(part.toText().length).toBeLessThan(600_000);
        expect(new Set(part.keys.map(([, key]) => key)).size).toBe(part.keys.length);
        for (const [k, id] of part.id.entries()) {
          const key = part.keys[part.of[k] ?? -1]?.[1] ?? "";
          const [number] = id.split("-");
          expect(keeperOf(keyed.id, key)).toBe(keeper);
          expect(key).toBe(`"user-${Number(number) % 90}"`);
          expect(Number(number)).toBe(nextOf.get(key) ?? Number(number) % 90);
          nextOf.set(key, Number(number) + 90);
          rows++;
        }
      }
    }
    expect(rows).toBe(60_000);
    expect(parts).toBeGreaterThan(2 * KEEPERS);
  });
});
