import { env } from "cloudflare:workers";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SEVERITIES } from "../../core/events/event.ts";
import { type Page, readPage } from "../../core/events/page.ts";
import { ALL_EVENTS, type Cursor, type EventQuery } from "../../core/events/query.ts";
import type { Tail } from "../../core/events/segments.ts";
import { segmentSource } from "../../storage/d1/segment-reader.ts";
import { makeShard, readAll, T0 } from "./event-shard.ts";
import { bruteForce, makeEvent } from "./event-store.ts";

const letter = (letters: string) => fc.constantFrom(...letters);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });

/** Few values everywhere, so that filters hit and timestamps tie. */
const fields = fc.record({
  at: fc.nat({ max: 60 }),
  type: letter("pqr").map((name) => `type.${name}`),
  source: letter("abcd"),
  severity: fc.constantFrom(...SEVERITIES),
  user_id: optional(letter("uvw")),
  session_id: optional(letter("st")),
  correlation_id: optional(letter("cd")),
  tags: optional(fc.uniqueArray(letter("xyz"), { maxLength: 3 })),
});

const events = fc.array(fields, { maxLength: 150, size: "max" }).map((list) =>
  list.map(({ at, ...rest }, i) => {
    const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    // Ids in another order than times.
    return makeEvent(`e${(i * 7_919) % 10_007}`, T0 + at, given);
  }),
);

const some = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.uniqueArray(arbitrary, { minLength: 1, maxLength: 2 }));

const queries: fc.Arbitrary<EventQuery> = fc
  .record({
    fromMs: fc.option(
      fc.integer({ min: -5, max: 65 }).map((at) => T0 + at),
      { freq: 2 },
    ),
    toMs: fc.option(
      fc.integer({ min: -5, max: 65 }).map((at) => T0 + at),
      { freq: 2 },
    ),
    types: some(letter("pqrz").map((name) => `type.${name}`)),
    sources: some(letter("abcdz")),
    userIds: some(letter("uvwz")),
    sessionIds: some(letter("stz")),
    correlationIds: some(letter("cdz")),
    severities: some(fc.constantFrom(...SEVERITIES)),
    tags: some(letter("xyz")),
    order: fc.constantFrom("desc", "asc"),
  })
  .map((query) => ({ ...ALL_EVENTS, ...query }));

const seals = fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 15, size: "max" });
const limits = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 40 }));

/** Every run talks to D1, so looking for a smaller counterexample could take far longer than the test may. */
const SHRINK_AT_MOST = { interruptAfterTimeLimit: 15_000 };

describe("pages of an event query", () => {
  test("every filter, order and page size gives what a plain scan of all events gives", async () => {
    await fc.assert(
      fc.asyncProperty(
        events,
        seals,
        fc.array(queries, { minLength: 1, maxLength: 6 }),
        limits,
        async (log, sizes, asked, limit) => {
          const shard = await makeShard(log, sizes);
          for (const query of asked) {
            const { ids, pages } = await readAll(shard, query, limit);
            expect(ids).toEqual(bruteForce(log, query).map(({ id }) => id));
            expect(pages.slice(0, -1).every((page) => page.events.length === limit)).toBe(true);
          }
        },
      ),
      { numRuns: 60, ...SHRINK_AT_MOST },
    );
  });

  test("while segments are sealed and events arrive between pages, what was there at first comes exactly once", async () => {
    const step = fc.record({
      limit: fc.integer({ min: 1, max: 12 }),
      seal: fc.nat({ max: 20 }),
      arrive: fc.array(fields, { maxLength: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(events, seals, queries, fc.infiniteStream(step), async (log, sizes, query, steps) => {
        const shard = await makeShard(log, sizes);
        const expected = bruteForce(log, query).map(({ id }) => id);
        const seen: string[] = [];
        let after: Cursor | null = null;
        for (const { limit, seal, arrive } of steps) {
          const page: Page = await shard.page(query, after, limit);
          seen.push(...page.events.map(({ id }) => id));
          after = page.next;
          if (after === null || seen.length > 1_000) break;
          const known = shard.log.length;
          if (known < 200) shard.log.push(...arrive.map(({ at }, k) => makeEvent(`new${known + k}`, T0 + at)));
          await shard.seal(seal);
        }
        expect(new Set(seen).size).toBe(seen.length);
        expect(seen.filter((id) => !id.startsWith("new"))).toEqual(expected);
      }),
      { numRuns: 40, ...SHRINK_AT_MOST },
    );
  });

  test("with a budget of one segment pages get short, but all come, in order, and only the last has no cursor", async () => {
    await fc.assert(
      fc.asyncProperty(events, seals, queries, limits, async (log, sizes, query, limit) => {
        const shard = await makeShard(log, sizes);
        const { ids } = await readAll(shard, query, limit, { enough: 1, most: 1_000 });
        expect(ids).toEqual(bruteForce(log, query).map(({ id }) => id));
      }),
      { numRuns: 40, ...SHRINK_AT_MOST },
    );
  });

  test("a segment sealed between reading the tail and reading the store is not read twice", async () => {
    const shard = await makeShard([], []);
    for (let i = 0; i < 40; i++) shard.log.push(makeEvent(`e${i}`, T0 + i));
    await shard.seal(10);
    const tail = shard.tail(ALL_EVENTS, null, 100);
    await shard.seal(20);
    const source = segmentSource(env.DB, shard.tenant, ALL_EVENTS, null);
    const page = await readPage({ query: ALL_EVENTS, after: null, limit: 100 }, [tail], source);
    expect(page.events.map(({ id }) => id)).toEqual(Array.from({ length: 40 }, (_, i) => `e${39 - i}`));
    expect(page.next).toBeNull();
    expect(page.segmentsOpened).toBe(1);
  });

  test("a tail that had to be cut ends the page where it was cut, and the next page goes on from there", async () => {
    const shard = await makeShard(
      [makeEvent("a", T0), makeEvent("b", T0 + 1), makeEvent("c", T0 + 2), makeEvent("d", T0 + 3)],
      [1],
    );
    const ids: string[] = [];
    let after: Cursor | null = null;
    do {
      const whole: Tail = shard.tail(ALL_EVENTS, after, 10);
      const cut = { ...whole, events: whole.events.slice(0, 1), isCut: whole.events.length > 1 };
      const source = segmentSource(env.DB, shard.tenant, ALL_EVENTS, after);
      const page: Page = await readPage({ query: ALL_EVENTS, after, limit: 10 }, [cut], source);
      ids.push(...page.events.map(({ id }) => id));
      after = page.next;
    } while (after !== null);
    expect(ids).toEqual(["d", "c", "b", "a"]);
  });
});
