import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { EventBatch } from "../../core/events/event-batch.ts";
import { MAX_FILTER_BYTES, mayContain } from "../../core/events/bloom.ts";
import { ALL_EVENTS, type EventQuery } from "../../core/events/query.ts";
import { MAX_VALUES } from "../../core/events/query-parse.ts";
import { filterKeys, MAX_LIST_CHARACTERS } from "../../core/events/segment-summary.ts";
import { splitChunks, unpackChunk } from "../../storage/chunk.ts";
import { loadBodies, MissingBodyError } from "../../storage/d1/segment-reader.ts";
import { findSegments, searchStatement, type StoredSegment } from "../../storage/d1/segment-search.ts";
import { MAX_BODY_BYTES, SegmentConflictError, writeSegments } from "../../storage/d1/segment-store.ts";
import { makeEvent, makeSegment, newTenant } from "./event-store.ts";

const T0 = Date.UTC(2026, 10, 22);
const NOW = T0 + 1_000_000;

function find(tenant: string, query: Partial<EventQuery>, count = 1_000): Promise<StoredSegment[]> {
  return findSegments(env.DB, tenant, { query: { ...ALL_EVENTS, ...query }, after: null, beyond: null, count });
}

async function countRows(table: string, tenant: string): Promise<number> {
  const row = await env.DB.prepare(`select count(*) as n from ${table} where tenant = ?`)
    .bind(tenant)
    .first<{ n: number }>();
  return row?.n ?? -1;
}

const values = (name: string): string[] =>
  Array.from({ length: MAX_VALUES }, (_, i) => `${name}-${i}-${"x".repeat(240)}`);

const key = (tenant: string, seqFrom: number) => ({ tenant, shard: 0, incarnation: "life-1", seqFrom });

describe("writing segments", () => {
  test("a segment costs two rows written, however many events and ids it holds", async () => {
    const tenant = newTenant();
    const events = Array.from({ length: 2_000 }, (_, i) =>
      makeEvent(`e${i}`, T0 + i, { user_id: `u${i}`, session_id: `s${i % 300}`, tags: [`tag${i % 7}`] }),
    );
    const many = await Promise.all([0, 2_000, 4_000].map((seq) => makeSegment(key(tenant, seq), events)));
    const { rowsWritten } = await writeSegments(env.DB, many, NOW);
    expect(rowsWritten).toBe(2 * 3);
    expect(await find(tenant, {})).toHaveLength(3);
  });

  test("sealing the same segment again writes nothing and changes nothing", async () => {
    const tenant = newTenant();
    const segment = await makeSegment(key(tenant, 0), [makeEvent("a", T0), makeEvent("b", T0 + 5)]);
    await writeSegments(env.DB, [segment], NOW);
    const again = await writeSegments(env.DB, [segment], NOW + 60_000);
    expect(again.rowsWritten).toBe(0);
    expect(await countRows("segment_index", tenant)).toBe(1);
    expect(await countRows("segment_bodies", tenant)).toBe(1);
  });

  test("another body under the same key is refused, stays out of the index, and does not keep its neighbours out", async () => {
    const tenant = newTenant();
    await writeSegments(env.DB, [await makeSegment(key(tenant, 0), [makeEvent("a", T0)])], NOW);
    const other = await makeSegment(key(tenant, 0), [makeEvent("z", T0 + 999)]);
    const neighbour = await makeSegment(key(tenant, 1), [makeEvent("b", T0 + 1)]);
    await expect(writeSegments(env.DB, [other, neighbour], NOW)).rejects.toThrow(SegmentConflictError);
    const found = await find(tenant, {});
    expect(found.map(({ seqFrom, maxTimestamp }) => [seqFrom, maxTimestamp])).toEqual([
      [1, T0 + 1],
      [0, T0],
    ]);
  });

  test("the same sequence numbers of another shard, incarnation or tenant are another segment", async () => {
    const tenant = newTenant();
    const events = [makeEvent("a", T0)];
    const places = [key(tenant, 0), { ...key(tenant, 0), shard: 1 }, { ...key(tenant, 0), incarnation: "life-2" }];
    const others = [...places, key(newTenant(), 0)];
    await writeSegments(env.DB, await Promise.all(others.map((place) => makeSegment(place, events))), NOW);
    expect(await find(tenant, {})).toHaveLength(3);
  });

  test("more segments than fit one batch are all written", async () => {
    const tenant = newTenant();
    const segments = await Promise.all(
      Array.from({ length: 45 }, (_, i) => makeSegment(key(tenant, i), [makeEvent(`e${i}`, T0 + i)])),
    );
    expect((await writeSegments(env.DB, segments, NOW)).rowsWritten).toBe(90);
    expect(await find(tenant, {})).toHaveLength(45);
  });

  test("a body at the size limit is stored and read back whole; one byte more is refused", async () => {
    const tenant = newTenant();
    const segment = await makeSegment(key(tenant, 0), [makeEvent("a", T0)]);
    const body = new Uint8Array(MAX_BODY_BYTES).map((_, i) => (i * 31) % 256);
    await writeSegments(env.DB, [{ ...segment, body }], NOW);
    const [loaded] = await loadBodies(env.DB, await find(tenant, {}));
    expect(loaded?.length).toBe(MAX_BODY_BYTES);
    expect(loaded !== undefined && body.every((byte, i) => byte === loaded[i])).toBe(true);
    const tooLarge = { ...segment, seqFrom: 1, body: new Uint8Array(MAX_BODY_BYTES + 1) };
    await expect(writeSegments(env.DB, [tooLarge], NOW)).rejects.toThrow(RangeError);
  });
});

describe("reading bodies", () => {
  test("bodies come in the order asked for and hold the events that were written", async () => {
    const tenant = newTenant();
    const segments = await Promise.all(
      Array.from({ length: 20 }, (_, i) => makeSegment(key(tenant, i), [makeEvent(`e${i}`, T0 + i, { data: { i } })])),
    );
    await writeSegments(env.DB, segments, NOW);
    const wanted = segments.toReversed();
    const bodies = await loadBodies(env.DB, wanted);
    const ids = bodies.flatMap((body) =>
      splitChunks(body).flatMap((chunk) => EventBatch.fromText(unpackChunk(chunk)).ids),
    );
    expect(ids).toEqual(Array.from({ length: 20 }, (_, i) => `e${19 - i}`));
  });

  test("a body that is not there is an error, not a silent gap", async () => {
    await expect(loadBodies(env.DB, [key(newTenant(), 0)])).rejects.toThrow(MissingBodyError);
  });
});

describe("searching the index", () => {
  test("the filter inside D1 passes exactly the segments that the filter itself passes", async () => {
    const tenant = newTenant();
    const segments = await Promise.all(
      Array.from({ length: 60 }, (_, i) => {
        // From one key to far too many, so that filters of all sizes and false positives occur.
        const users = Array.from({ length: 1 + i * 30 }, (_, k) =>
          makeEvent(`e${k}`, T0 + i, { user_id: `u${i}-${k}` }),
        );
        return makeSegment(key(tenant, 2_000 * i), users);
      }),
    );
    await writeSegments(env.DB, segments, NOW);
    expect(Math.max(...segments.map(({ filter }) => filter.length))).toBe(MAX_FILTER_BYTES);
    let passed = 0;
    for (const user of ["u0-0", "u7-3", "u59-1000", "nobody", "u30", "ü ☃", ""]) {
      const found = await find(tenant, { userIds: [user] });
      const expected = segments.filter(({ filter }) => mayContain(filter, `u:${user}`)).map(({ seqFrom }) => seqFrom);
      expect(found.map(({ seqFrom }) => seqFrom).sort((a, b) => a - b)).toEqual(expected);
      passed += found.length;
    }
    // Of the large filters a good part passes anything; if none did, the comparison above would say little.
    expect(passed).toBeGreaterThan(20);
  });

  test("types and sources are matched whole, whatever characters they hold", async () => {
    const tenant = newTenant();
    const sources = ['say "x"', "x", "a\\b", "a", "ünïcode ☃", "with,comma", "new\nline", "%_*"];
    const segments = sources.map((source, i) => makeSegment(key(tenant, i), [makeEvent(`e${i}`, T0 + i, { source })]));
    await writeSegments(env.DB, await Promise.all(segments), NOW);
    for (const [i, source] of sources.entries()) {
      const found = (await find(tenant, { sources: [source] })).map(({ seqFrom }) => seqFrom);
      expect(found).toContain(i);
      // A quoted part of a longer source may be found too; reading its events sorts it out.
      expect(found.length).toBeLessThanOrEqual(source === "x" ? 2 : 1);
    }
    expect(await find(tenant, { sources: ["absent"] })).toEqual([]);
    expect(await find(tenant, { types: ["page"] })).toEqual([]);
  });

  test("a segment with too many sources to list is still found by each of them, and skipped for others", async () => {
    const tenant = newTenant();
    const events = Array.from({ length: 200 }, (_, i) =>
      makeEvent(`e${i}`, T0 + i, { source: `host-${i}`, type: `t.${i}` }),
    );
    const segment = await makeSegment(key(tenant, 0), events);
    expect(JSON.stringify(events.map(({ source }) => source)).length).toBeGreaterThan(MAX_LIST_CHARACTERS);
    expect([segment.types, segment.sources]).toEqual([null, null]);
    await writeSegments(env.DB, [segment], NOW);
    for (let i = 0; i < 200; i += 13) {
      expect(await find(tenant, { sources: [`host-${i}`], types: [`t.${i}`] })).toHaveLength(1);
    }
    const strangers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => find(tenant, { sources: [`host-${1_000 + i}`] })),
    );
    expect(strangers.filter((found) => found.length > 0).length).toBeLessThan(10);
  });

  test("time bounds are half-open on both ends of a segment", async () => {
    const tenant = newTenant();
    await writeSegments(
      env.DB,
      [await makeSegment(key(tenant, 0), [makeEvent("a", T0), makeEvent("b", T0 + 10)])],
      NOW,
    );
    const count = async (fromMs: number | null, toMs: number | null): Promise<number> =>
      (await find(tenant, { fromMs, toMs })).length;
    expect(await count(T0 + 10, null)).toBe(1);
    expect(await count(T0 + 11, null)).toBe(0);
    expect(await count(null, T0)).toBe(0);
    expect(await count(null, T0 + 1)).toBe(1);
  });

  test("a list is continued beyond its last segment in both orders, also among equal times", async () => {
    const tenant = newTenant();
    const segments = await Promise.all(
      Array.from({ length: 25 }, (_, i) =>
        makeSegment({ tenant, shard: i % 2, incarnation: `life-${i % 3}`, seqFrom: i }, [
          makeEvent("a", T0 + (i % 4)),
          makeEvent("b", T0 + 100 - (i % 4)),
        ]),
      ),
    );
    await writeSegments(env.DB, segments, NOW);
    for (const order of ["desc", "asc"] as const) {
      const query = { ...ALL_EVENTS, order };
      const all: StoredSegment[] = [];
      for (let beyond: StoredSegment | null = null; ; beyond = all.at(-1) ?? null) {
        const part: StoredSegment[] = await findSegments(env.DB, tenant, { query, after: null, beyond, count: 4 });
        all.push(...part);
        if (part.length < 4) break;
      }
      expect(new Set(all.map(({ seqFrom }) => seqFrom)).size).toBe(25);
      expect(all).toHaveLength(25);
      const times = all.map(({ minTimestamp, maxTimestamp }) => (order === "asc" ? minTimestamp : -maxTimestamp));
      expect(times).toEqual(times.toSorted((a, b) => a - b));
    }
  });

  test("the largest query there can be stays within D1's 100 parameters and 100 KB, and runs", async () => {
    const query: EventQuery = {
      ...ALL_EVENTS,
      order: "asc",
      fromMs: T0,
      toMs: NOW,
      types: values("type"),
      sources: values("source"),
      userIds: values("user"),
      sessionIds: values("session"),
      correlationIds: values("correlation"),
      tags: values("tag"),
      severities: ["low", "medium", "high", "critical"],
    };
    const tenant = newTenant();
    const events = Array.from({ length: 3 }, (_, i) => makeEvent(`e${i}`, T0 + i, { user_id: "u" }));
    await writeSegments(env.DB, [await makeSegment(key(tenant, 0), events)], NOW);
    const [beyond] = await find(tenant, {});
    const search = { query, after: { timestamp: T0, id: "a" }, beyond: beyond ?? null, count: 1_000 };
    const statement = searchStatement(tenant, search);
    expect(filterKeys(query).map((keys) => keys.length)).toEqual([MAX_VALUES, MAX_VALUES, MAX_VALUES, MAX_VALUES, 4]);
    expect(statement.values.length).toBeLessThanOrEqual(100);
    expect(statement.sql.length).toBeLessThanOrEqual(100_000);
    expect(await findSegments(env.DB, tenant, search)).toEqual([]);
  });
});
