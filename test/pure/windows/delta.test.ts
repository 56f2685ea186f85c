import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CorruptStateError } from "../../../core/bytes.ts";
import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { DeltaBuilder } from "../../../core/windows/delta-builder.ts";
import { type DeltaTerms, epochOf, termsOf } from "../../../core/windows/delta-terms.ts";
import { decodeDelta, decodeDeltaHead, type Delta, encodeDelta } from "../../../core/windows/delta.ts";
import { EVERY_TYPE, MINUTE, T0 } from "./every-window-type.ts";
import { allRows } from "./simulated-shard.ts";

const definitions = EVERY_TYPE.map(({ definition }, k) => ({ id: k + 1, definition }));
const terms = termsOf(epochOf(definitions), definitions, []);
const planOf = (id: number) => terms.plans.find((plan) => plan.id === id)?.plan;
const totals = { applied: 7, duplicates: 3, storedBytes: 12_345 };

const eventOf = (k: number, fields: Partial<StreamEvent> = {}): StreamEvent => ({
  id: `e${k}`,
  type: "t",
  source: k % 2 === 0 ? "a" : "b",
  timestamp: T0 + k * MINUTE,
  receivedAt: T0 + k * MINUTE + 5,
  severity: "low",
  data: { kind: "x", n: k, status: 404, path: `/p${k}` },
  metadata: {},
  ...fields,
});

function deltaOf(events: readonly StreamEvent[], by: DeltaTerms = terms, from = 5): Delta {
  const builder = new DeltaBuilder(by, from);
  const batch = EventBatch.fromEvents(events);
  builder.add(batch, allRows(batch));
  return builder.delta({ shard: 2, incarnation: "life", totals });
}

/** As it can be compared: fragments are iterated, accumulators encoded. */
const shown = (delta: Delta): unknown => encodeDelta(delta);

describe("a delta", () => {
  test("says what it was made of", () => {
    const delta = deltaOf([eventOf(0), eventOf(1), eventOf(2)]);
    expect(delta).toMatchObject({ shard: 2, incarnation: "life", from: 5, to: 8, epoch: epochOf(definitions), totals });
    expect(delta.stats).toMatchObject({ total: 3, byType: { t: 3 }, bySource: { a: 2, b: 1 }, oldest: T0 });
    expect(delta.sources).toContainEqual({ name: "a", newest: T0 + 2 * MINUTE, lastReceived: T0 + 2 * MINUTE + 5 });
    expect(delta.overview.seconds.map(({ total }) => total)).toEqual([1, 1, 1]);
    expect(EventBatch.fromText(delta.latest).ids).toEqual(["e0", "e1", "e2"]);
  });

  test("is the same after a trip over the wire", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200), { minLength: 1, maxLength: 50 }), (picks) => {
        const delta = deltaOf(picks.map((k) => eventOf(k)));
        const bytes = encodeDelta(delta);
        expect(decodeDeltaHead(bytes)).toMatchObject({ shard: 2, from: 5, to: 5 + picks.length });
        expect(shown(decodeDelta(bytes, planOf))).toEqual(bytes);
      }),
      { numRuns: 100 },
    );
  });

  test("without events carries the totals alone", () => {
    const bytes = encodeDelta(new DeltaBuilder(terms, 9).delta({ shard: 1, incarnation: "life", totals }));
    expect(decodeDelta(bytes, planOf)).toMatchObject({ from: 9, to: 9, totals, parts: [] });
  });

  test("of hostile bytes is refused or valid, and never anything else", () => {
    const bytes = encodeDelta(
      deltaOf([eventOf(0), eventOf(1), eventOf(30, { type: "ü", data: { kind: null, n: 1e300 } })]),
    );
    const change = fc.record({ at: fc.nat(bytes.length - 1), to: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(bytes.length), (changes, length) => {
        const hostile = bytes.slice(0, length % 3 === 0 ? length : bytes.length);
        for (const { at, to } of changes) if (at < hostile.length) hostile[at] = to;
        try {
          encodeDelta(decodeDelta(hostile, planOf));
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptStateError);
        }
      }),
      { numRuns: 5000 },
    );
  });

  test("cannot claim a session longer than its events reach, nor an aggregation that is not there", () => {
    const delta = deltaOf([eventOf(0)]);
    const stretched = delta.parts.map(({ aggregation, part }) => ({
      aggregation,
      part: { ...part, fragments: [...part.fragments].map((fragment) => ({ ...fragment, last: fragment.first + 1 })) },
    }));
    expect(() => decodeDelta(encodeDelta({ ...delta, parts: stretched }), planOf)).toThrow("do not reach");
    expect(() => decodeDelta(encodeDelta(delta), () => undefined)).toThrow(CorruptStateError);
    expect(decodeDelta(encodeDelta(delta), (id) => (id === 2 ? null : planOf(id))).parts).toHaveLength(
      definitions.length - 1,
    );
  });

  test("is full when its states are heavy, however few events they come from", () => {
    const text = "x".repeat(500);
    const many = Array.from({ length: 10_000 }, (_, k) => eventOf(k, { data: { kind: `kind ${k}`, text } }));
    const measures = { last: { fn: "last", field: "data.text" } } as const;
    const definition: Definition = {
      name: "l",
      window: { type: "tumbling", size: "1m" },
      group_by: ["data.kind"],
      measures,
    };
    const builder = new DeltaBuilder(termsOf("epoch", [{ id: 1, definition }], []), 0);
    const batch = EventBatch.fromEvents(many);
    for (let from = 0; !builder.isFull && from < many.length; from += 500)
      builder.add(batch, allRows(batch).subarray(from, from + 500));
    expect(builder.isFull).toBe(true);
    expect(builder.to).toBeLessThan(10_000);
    expect(encodeDelta(builder.delta({ shard: 1, incarnation: "life", totals })).length).toBeLessThan(8_000_000);
  });
});
