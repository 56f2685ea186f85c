import { env } from "cloudflare:workers";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Candidates } from "../../core/events/candidates.ts";
import { EventBatch } from "../../core/events/event-batch.ts";
import { SEVERITIES, type StreamEvent } from "../../core/events/event.ts";
import { findEvent } from "../../core/events/lookup.ts";
import { type Page, readPage, TooManySegmentsError, type WorkBudget } from "../../core/events/page.ts";
import { ALL_EVENTS, type Cursor, type EventQuery } from "../../core/events/query.ts";
import type { Tail } from "../../core/events/segments.ts";
import { segmentSource } from "../../storage/d1/segment-reader.ts";
import { writeSegments } from "../../storage/d1/segment-store.ts";
import { bruteForce, makeEvent, makeSegment, newTenant } from "./event-store.ts";

const T0 = Date.UTC(2026, 10, 22);
const INCARNATION = "life-1";

/** One shard's log: what is sealed lies in D1, the rest is its tail. Nothing here looks at times when it cuts segments. */
class Shard {
  readonly tenant: string;
  readonly log: StreamEvent[] = [];
  sealedThrough = 0;

  constructor(tenant: string) {
    this.tenant = tenant;
  }

  async seal(count: number): Promise<void> {
    const events = this.log.slice(this.sealedThrough, this.sealedThrough + count);
    if (events.length === 0) return;
    const key = { tenant: this.tenant, shard: 0, incarnation: INCARNATION, seqFrom: this.sealedThrough };
    await writeSegments(env.DB, [await makeSegment(key, events, 7)], T0);
    this.sealedThrough += events.length;
  }

  tail(query: EventQuery, after: Cursor | null, limit: number): Tail {
    const candidates = new Candidates(query, after, limit + 1);
    candidates.add(EventBatch.fromEvents(this.log.slice(this.sealedThrough)));
    return { shard: 0, incarnation: INCARNATION, sealedThrough: this.sealedThrough, events: candidates.events };
  }

  async page(query: EventQuery, after: Cursor | null, limit: number, budget?: WorkBudget): Promise<Page> {
    const source = segmentSource(env.DB, this.tenant, query, after);
    return readPage({ query, after, limit }, [this.tail(query, after, limit)], source, budget);
  }
}

async function readAll(
  shard: Shard,
  query: EventQuery,
  limit: number,
  budget?: WorkBudget,
): Promise<{ ids: string[]; pages: Page[] }> {
  const pages: Page[] = [];
  let after: Cursor | null = null;
  do {
    const page: Page = await shard.page(query, after, limit, budget);
    pages.push(page);
    after = page.next;
  } while (after !== null && pages.length < 2_000);
  return { ids: pages.flatMap(({ events }) => events.map(({ id }) => id)), pages };
}

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

async function makeShard(log: readonly StreamEvent[], sizes: readonly number[]): Promise<Shard> {
  const shard = new Shard(newTenant());
  shard.log.push(...log);
  for (const size of sizes) await shard.seal(size);
  return shard;
}

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
      { numRuns: 60 },
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
          if (after === null) break;
          const known = shard.log.length;
          if (known < 200) shard.log.push(...arrive.map(({ at }, k) => makeEvent(`new${known + k}`, T0 + at)));
          await shard.seal(seal);
        }
        expect(new Set(seen).size).toBe(seen.length);
        expect(seen.filter((id) => !id.startsWith("new"))).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test("with a budget of one segment pages get short, but all come, in order, and only the last has no cursor", async () => {
    await fc.assert(
      fc.asyncProperty(events, seals, queries, limits, async (log, sizes, query, limit) => {
        const shard = await makeShard(log, sizes);
        const { ids } = await readAll(shard, query, limit, { enough: 1, most: 1_000 });
        expect(ids).toEqual(bruteForce(log, query).map(({ id }) => id));
      }),
      { numRuns: 40 },
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

async function orderedShard(segments: number, perSegment: number): Promise<Shard> {
  const log = Array.from({ length: segments * perSegment }, (_, i) =>
    makeEvent(`e${i}`, T0 + i, { user_id: `u${Math.floor(i / perSegment)}` }),
  );
  return makeShard(
    log,
    Array.from({ length: segments }, () => perSegment),
  );
}

describe("work done for a page", () => {
  test("in-order segments are opened only as far as the page reaches, from either end and in the middle", async () => {
    const shard = await orderedShard(30, 20);
    const middle = T0 + 300;
    const asked: [Partial<EventQuery>, number][] = [
      [{}, T0 + 599],
      [{ order: "asc" }, T0],
      [{ toMs: middle }, middle - 1],
      [{ order: "asc", fromMs: middle }, middle],
    ];
    for (const [query, first] of asked) {
      const page = await shard.page({ ...ALL_EVENTS, ...query }, null, 15);
      expect(page.events[0]?.timestamp).toBe(first);
      expect(page.events).toHaveLength(15);
      expect(page.segmentsOpened).toBeLessThanOrEqual(2);
    }
  });

  test("a page that ends exactly where the opened segments end still leads on, and the last one does not", async () => {
    const shard = await orderedShard(6, 5);
    const { ids, pages } = await readAll(shard, ALL_EVENTS, 10);
    expect(ids).toHaveLength(30);
    expect(pages).toHaveLength(3);
  });

  test("a query for one user opens the segments that have the user, and few others", async () => {
    const shard = await orderedShard(60, 20);
    const page = await shard.page({ ...ALL_EVENTS, userIds: ["u17"] }, null, 100);
    expect(page.events).toHaveLength(20);
    expect(page.next).toBeNull();
    expect(page.segmentsOpened).toBeLessThanOrEqual(6);
  });

  test("when the budget ends the page before it found anything, its cursor still leads to what there is", async () => {
    // A tag in every filter, but only the oldest segment has an event with both tag and user.
    const log = Array.from({ length: 100 }, (_, i) =>
      makeEvent(`e${i}`, T0 + i, i % 2 === 0 ? { tags: ["x"] } : { user_id: "u" }),
    );
    log[0] = makeEvent("e0", T0, { tags: ["x"], user_id: "u" });
    const shard = await makeShard(
      log,
      Array.from({ length: 20 }, () => 5),
    );
    const query = { ...ALL_EVENTS, tags: ["x"], userIds: ["u"] };
    const { ids, pages } = await readAll(shard, query, 10, { enough: 4, most: 100 });
    expect(ids).toEqual(["e0"]);
    expect(pages.length).toBeGreaterThan(2);
    expect(pages[0]?.events).toEqual([]);
    expect(Math.max(...pages.map(({ segmentsOpened }) => segmentsOpened))).toBeLessThanOrEqual(6);
  });

  test("more segments over one point in time than may be opened are refused, at the limit they are not", async () => {
    const log = Array.from({ length: 60 }, (_, i) => makeEvent(`e${i}`, T0 + (i % 2) * 1_000, { severity: "low" }));
    const shard = await makeShard(
      log,
      Array.from({ length: 30 }, () => 2),
    );
    const after = { timestamp: T0 + 500, id: "e" };
    await expect(shard.page(ALL_EVENTS, after, 10, { enough: 1, most: 29 })).rejects.toThrow(TooManySegmentsError);
    expect((await shard.page(ALL_EVENTS, after, 10, { enough: 1, most: 30 })).events).toHaveLength(10);
  });
});

describe("finding one event by id", () => {
  test("it is found in any segment, and its absence is known once all were read", async () => {
    const log = Array.from({ length: 60 }, (_, i) => makeEvent(`id-${i}`, T0 + ((i * 37) % 60)));
    const shard = await makeShard(
      log,
      Array.from({ length: 12 }, () => 5),
    );
    const source = (id: string) => segmentSource(env.DB, shard.tenant, { ...ALL_EVENTS, ids: [id] }, null);
    for (const id of ["id-0", "id-31", "id-59"]) expect((await findEvent(id, [source(id)])).event?.id).toBe(id);
    expect(await findEvent("id-60", [source("id-60")])).toEqual({ event: null, isComplete: true });
    expect(await findEvent("id-", [source("id-")])).toEqual({ event: null, isComplete: true });
  });

  test("when the budget ends before the segments do, it says so", async () => {
    const log = Array.from({ length: 40 }, (_, i) => makeEvent(`id-${i}`, T0 + i));
    const shard = await makeShard(
      log,
      Array.from({ length: 20 }, () => 2),
    );
    const source = segmentSource(env.DB, shard.tenant, { ...ALL_EVENTS, ids: ["id-0"] }, null);
    expect(await findEvent("id-0", [source], 19)).toEqual({ event: null, isComplete: false });
    expect((await findEvent("id-0", [source], 20)).event?.id).toBe("id-0");
  });

  test("a likely place is looked at first, and its segments are not opened again", async () => {
    const log = Array.from({ length: 40 }, (_, i) => makeEvent(`id-${i}`, T0 + i));
    const shard = await makeShard(
      log,
      Array.from({ length: 20 }, () => 2),
    );
    const source = (bounds: Partial<EventQuery>) =>
      segmentSource(env.DB, shard.tenant, { ...ALL_EVENTS, ids: ["id-4"], ...bounds }, null);
    const near = source({ fromMs: T0 + 4, toMs: T0 + 5 });
    expect((await findEvent("id-4", [near, source({})], 1)).event?.id).toBe("id-4");
    expect(await findEvent("id-99", [near, source({})], 20)).toEqual({ event: null, isComplete: true });
  });
});
