import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BackpressureBuffer, type BufferOptions } from "../../../core/streams/backpressure-buffer.ts";
import { droppedItems, type Ledger } from "../../../core/streams/ledger.ts";

function expectBalanced(ledger: Ledger): void {
  expect(ledger.delivered + droppedItems(ledger) + ledger.rejected + ledger.buffered).toBe(ledger.offered);
}

async function drain<T>(buffer: BackpressureBuffer<T>): Promise<T[]> {
  buffer.end();
  const items: T[] = [];
  for await (const value of buffer) items.push(value);
  return items;
}

/** Numbers in [0, 1) from a seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const offers = (buffer: BackpressureBuffer<number>, count: number): string[] =>
  Array.from({ length: count }, (_, index) => buffer.offer(index + 1));

test("DROP_OLDEST keeps the newest items", async () => {
  const buffer = new BackpressureBuffer<number>({ capacity: 3, strategy: "DROP_OLDEST" });
  expect(offers(buffer, 5)).toEqual(["accepted", "accepted", "accepted", "accepted", "accepted"]);
  expect(await drain(buffer)).toEqual([3, 4, 5]);
  expect(buffer.ledger).toMatchObject({ offered: 5, delivered: 3, dropped: { oldest: 2, newest: 0 } });
});

test("DROP_NEWEST keeps the first items and says so", async () => {
  const buffer = new BackpressureBuffer<number>({ capacity: 3, strategy: "DROP_NEWEST" });
  expect(offers(buffer, 5)).toEqual(["accepted", "accepted", "accepted", "dropped", "dropped"]);
  expect(await drain(buffer)).toEqual([1, 2, 3]);
  expect(buffer.ledger).toMatchObject({ offered: 5, delivered: 3, dropped: { oldest: 0, newest: 2 } });
});

describe("BLOCK", () => {
  test("makes producers wait in turn and drops nothing", async () => {
    const buffer = new BackpressureBuffer<number>({ capacity: 2, strategy: "BLOCK" });
    const puts = [1, 2, 3, 4].map((value) => buffer.put(value));
    expect(buffer.ledger).toMatchObject({ offered: 2, buffered: 2, waiting: 2 });
    const reader = buffer[Symbol.asyncIterator]();
    const read = [await reader.next(), await reader.next(), await reader.next(), await reader.next()];
    expect(read.map(({ value }) => value)).toEqual([1, 2, 3, 4]);
    expect(await Promise.all(puts)).toEqual(["accepted", "accepted", "accepted", "accepted"]);
    expect(buffer.ledger).toMatchObject({ offered: 4, delivered: 4, waiting: 0 });
  });

  test("rejects who cannot wait, who is one too many to wait, and who waits when it ends", async () => {
    const buffer = new BackpressureBuffer<number>({ capacity: 1, strategy: "BLOCK", maxWaiting: 1 });
    const puts = [1, 2, 3].map((value) => buffer.put(value));
    expect(buffer.offer(4)).toBe("rejected");
    buffer.end();
    expect(await Promise.all(puts)).toEqual(["accepted", "rejected", "rejected"]);
    expect(buffer.ledger).toMatchObject({ offered: 4, rejected: 3, buffered: 1, waiting: 0 });
  });
});

describe("SAMPLE", () => {
  test("begins anew when the buffer has been empty", async () => {
    const buffer = new BackpressureBuffer<number>({ capacity: 10, strategy: "SAMPLE", random: () => 0.5 });
    const reader = buffer[Symbol.asyncIterator]();
    offers(buffer, 1_000);
    for (let read = 0; read < 10; read++) await reader.next();
    expect(offers(buffer, 11).at(-1)).toBe("accepted");
  });

  test("gives every item the same chance while nobody reads, and keeps the order", async () => {
    const random = seeded(7);
    const kept = Array.from({ length: 100 }, () => 0);
    for (let round = 0; round < 2_000; round++) {
      const buffer = new BackpressureBuffer<number>({ capacity: 10, strategy: "SAMPLE", random });
      offers(buffer, 100);
      const items = await drain(buffer);
      expect(items).toEqual(items.toSorted((a, b) => a - b));
      for (const value of items) kept[value - 1] = (kept[value - 1] ?? 0) + 1;
    }
    // 200 each is expected, with a standard deviation of 13.4; five of those either way.
    expect(Math.min(...kept)).toBeGreaterThan(133);
    expect(Math.max(...kept)).toBeLessThan(267);
  });
});

/** Three items come for each one that is read, one a ms. @returns mean age of the last 500 delivered, ms */
const meanAge = async (options: (now: () => number) => BufferOptions): Promise<number> => {
  let nowMs = 0;
  const buffer = new BackpressureBuffer<number>(options(() => nowMs));
  const reader = buffer[Symbol.asyncIterator]();
  const ages: number[] = [];
  for (; nowMs < 5_000; nowMs += 1) {
    buffer.offer(nowMs);
    if (nowMs % 3 === 0) ages.push(nowMs - Number((await reader.next()).value));
    expectBalanced(buffer.ledger);
  }
  const late = ages.slice(-500);
  return late.reduce((sum, age) => sum + age, 0) / late.length;
};

describe("ADAPTIVE", () => {
  test("takes a burst whole", async () => {
    let nowMs = 0;
    const buffer = new BackpressureBuffer<number>({ capacity: 100, strategy: "ADAPTIVE", now: () => nowMs });
    offers(buffer, 50);
    const reader = buffer[Symbol.asyncIterator]();
    for (let read = 1; read <= 50; read++) {
      nowMs += 2;
      expect(await reader.next()).toEqual({ done: false, value: read });
    }
    expect(droppedItems(buffer.ledger)).toBe(0);
  });

  test("takes a burst whole after a long quiet", async () => {
    let nowMs = 0;
    const buffer = new BackpressureBuffer<number>({ capacity: 9, strategy: "ADAPTIVE", now: () => nowMs });
    const reader = buffer[Symbol.asyncIterator]();
    offers(buffer, 1);
    await reader.next();
    nowMs = 10_000;
    offers(buffer, 3);
    nowMs += 60;
    expect([await reader.next(), await reader.next(), await reader.next()].map(({ value }) => value)).toEqual([
      1, 2, 3,
    ]);
  });

  test("gives the last item however old it is", async () => {
    let nowMs = 0;
    const buffer = new BackpressureBuffer<number>({ capacity: 9, strategy: "ADAPTIVE", now: () => nowMs });
    offers(buffer, 3);
    nowMs = 60_000;
    expect(await buffer[Symbol.asyncIterator]().next()).toEqual({ done: false, value: 3 });
    expect(buffer.ledger).toMatchObject({ offered: 3, delivered: 1, dropped: { oldest: 2 }, buffered: 0 });
  });

  test("keeps a standing queue fresh where DROP_OLDEST delivers what is old", async () => {
    const adaptive = await meanAge((now) => ({ capacity: 100, strategy: "ADAPTIVE", now }));
    const oldest = await meanAge(() => ({ capacity: 100, strategy: "DROP_OLDEST" }));
    expect(adaptive).toBeLessThanOrEqual(5);
    expect(oldest).toBeGreaterThan(90);
  });
});

describe("the ledger", () => {
  const strategies: readonly ((now: () => number) => BufferOptions)[] = [
    () => ({ capacity: 4, strategy: "DROP_OLDEST" }),
    () => ({ capacity: 4, strategy: "DROP_NEWEST" }),
    () => ({ capacity: 4, strategy: "BLOCK", maxWaiting: 3 }),
    () => ({ capacity: 4, strategy: "SAMPLE", random: seeded(1) }),
    (now) => ({ capacity: 4, strategy: "ADAPTIVE", now, burstMs: 10, targetMs: 2 }),
  ];
  const act = fc.oneof(
    { weight: 10, arbitrary: fc.constantFrom("offer", "put", "next", "turn") },
    { weight: 1, arbitrary: fc.constantFrom("end", "return") },
  );

  test.each(strategies.map((make) => ({ make, name: make(() => 0).strategy })))(
    "$name balances under random interleavings, and nothing comes twice or out of order",
    async ({ make }) => {
      await fc.assert(
        fc.asyncProperty(fc.array(act, { maxLength: 80 }), async (acts) => {
          let nowMs = 0;
          const buffer = new BackpressureBuffer<number>(make(() => nowMs));
          const reader = buffer[Symbol.asyncIterator]();
          const delivered: number[] = [];
          const told = { accepted: 0, dropped: 0, rejected: 0 };
          const pending: Promise<unknown>[] = [];
          let next = 0;
          const steps: Record<string, () => void> = {
            offer: () => (told[buffer.offer(next++)] += 1),
            put: () => pending.push(buffer.put(next++).then((outcome) => (told[outcome] += 1))),
            next: () => pending.push(reader.next().then((step) => step.done === true || delivered.push(step.value))),
            turn: () => (nowMs += 3),
            end: () => buffer.end(),
            return: () => pending.push(reader.return()),
          };
          for (const name of acts) {
            steps[name]?.();
            if (name === "turn") await Promise.resolve();
            expectBalanced(buffer.ledger);
            expect(buffer.ledger.buffered).toBeLessThanOrEqual(4);
            expect(buffer.ledger.waiting).toBeLessThanOrEqual(3);
          }
          buffer.end();
          await reader.return();
          await Promise.all(pending);
          expectBalanced(buffer.ledger);
          expect(buffer.ledger).toMatchObject({ offered: next, buffered: 0, waiting: 0, rejected: told.rejected });
          expect(buffer.ledger.delivered).toBe(delivered.length);
          expect(delivered).toEqual([...new Set(delivered)].toSorted((a, b) => a - b));
        }),
        { numRuns: 300 },
      );
    },
  );
});

test("has one consumer; when it leaves, what is held is discarded and producers are told", async () => {
  const buffer = new BackpressureBuffer<number>({ capacity: 2, strategy: "BLOCK" });
  const puts = [1, 2, 3].map((value) => buffer.put(value));
  for await (const _ of buffer) break;
  expect(await Promise.all(puts)).toEqual(["accepted", "accepted", "accepted"]);
  expect(buffer.ledger).toMatchObject({ offered: 3, delivered: 1, dropped: { discarded: 2 }, buffered: 0 });
  expect(buffer.offer(4)).toBe("rejected");
  expect(() => buffer[Symbol.asyncIterator]()).toThrow("one consumer");
});

test.each<BufferOptions>([
  { capacity: 0, strategy: "DROP_OLDEST" },
  { capacity: Number.NaN, strategy: "DROP_NEWEST" },
  { capacity: 1.5, strategy: "BLOCK" },
  { capacity: 1, strategy: "BLOCK", maxWaiting: -1 },
  { capacity: 1, strategy: "ADAPTIVE", now: () => 0, burstMs: 0 },
  { capacity: 1, strategy: "ADAPTIVE", now: () => 0, targetMs: Number.NaN },
])("%o is a RangeError", (options) => {
  expect(() => new BackpressureBuffer(options)).toThrow(RangeError);
});
