import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { findEvent } from "../../core/events/lookup.ts";
import { TooManySegmentsError } from "../../core/events/page.ts";
import { ALL_EVENTS, type EventQuery } from "../../core/events/query.ts";
import { segmentSource } from "../../storage/d1/segment-reader.ts";
import { makeShard, readAll, type Shard, T0 } from "./event-shard.ts";
import { makeEvent } from "./event-store.ts";

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
