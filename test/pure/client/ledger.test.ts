import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createClient } from "../../../client/index.ts";
import type { Client, ClientOptions, KeyValueStore, Ledger } from "../../../client/index.ts";
import { FakeClock, FakePlatform, memoryStore } from "./world.ts";
import type { Behaviour } from "./world.ts";

const failure: fc.Arbitrary<Behaviour> = fc.oneof(
  fc.constantFrom<Behaviour>("no_connection", "answer_lost", "not_the_platform", "ok"),
  fc.record({
    status: fc.constantFrom(401, 408, 413, 429, 500, 503),
    retryAfter: fc.constantFrom("0", "1", "30", "x"),
  }),
);
/** Events offered at once, of which every `badEvery`th is refused, and the time until the next, ms. */
const burst = fc.record({
  count: fc.integer({ min: 0, max: 12 }),
  badEvery: fc.integer({ min: 2, max: 9 }),
  thenMs: fc.nat({ max: 3000 }),
});
const bursts = fc.array(burst, { maxLength: 12 });
type Burst = typeof burst extends fc.Arbitrary<infer T> ? T : never;

function isBalanced({ offered, delivered, rejected, dropped, waiting, buffered, inFlight }: Ledger): boolean {
  return offered === delivered + rejected + dropped + waiting + buffered + inFlight;
}

interface Run {
  readonly client: Client;
  readonly clock: FakeClock;
  readonly platform: FakePlatform;
  /** Numbers of the events refused on purpose, and of the others, among those offered. */
  readonly bad: number[];
  readonly good: number[];
}

function begin(behaviours: readonly Behaviour[], random: () => number, options: Partial<ClientOptions> = {}): Run {
  const clock = new FakeClock();
  const platform = new FakePlatform(() => clock.now(), behaviours);
  const settings = {
    url: "https://platform.test",
    key: "k",
    gzipFromBytes: Infinity,
    maxBatchEvents: 5,
    clock,
    random,
  };
  const client = createClient({ ...settings, fetch: platform.fetch, ...options });
  return { client, clock, platform, bad: [], good: [] };
}

async function offer({ client, clock, bad, good }: Run, { count, badEvery, thenMs }: Burst): Promise<void> {
  for (let index = 0; index < count; index++) {
    const n = bad.length + good.length;
    const isBad = n % badEvery === badEvery - 1;
    (isBad ? bad : good).push(n);
    void client.track({ type: "t.e", source: "s", data: { n, ...(isBad && { bad: true }) } });
  }
  expect(client.ledger).toSatisfy(isBalanced);
  await clock.advance(thenMs);
  expect(client.ledger).toSatisfy(isBalanced);
}

/** A source of jitter that a seed repeats. */
function jitter(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
}
const seed = fc.integer({ min: 1, max: 2_147_483_646 });

describe("under random failures", () => {
  test("with room in the buffer every event is counted once and in order, or reported as rejected", async () => {
    const property = fc.asyncProperty(
      bursts,
      fc.array(failure, { maxLength: 20 }),
      seed,
      async (all, failures, from) => {
        // 413 rejects an event that is alone in its request, however small: that is for the test of its own.
        const run = begin(
          failures.filter((behaviour) => typeof behaviour !== "object" || behaviour.status !== 413),
          jitter(from),
        );
        for (const one of all) await offer(run, one);
        expect(await run.clock.until(run.client.flush())).toBe(true);
        expect([...run.platform.counted.values()]).toEqual(run.good);
        expect(run.client.ledger).toMatchObject({
          delivered: run.good.length,
          rejected: run.bad.length,
          dropped: 0,
          buffered: 0,
        });
      },
    );
    await fc.assert(property, { numRuns: 150 });
  });

  test("also when half a batch cannot be queued, though then not in order", async () => {
    const some = fc.array(fc.oneof(failure, fc.constant<Behaviour>("half_unavailable")), { maxLength: 20 });
    const property = fc.asyncProperty(bursts, some, seed, async (all, failures, from) => {
      const run = begin(
        failures.filter((behaviour) => typeof behaviour !== "object" || behaviour.status !== 413),
        jitter(from),
      );
      for (const one of all) await offer(run, one);
      await run.clock.until(run.client.flush());
      expect([...run.platform.counted.values()].toSorted((a, b) => a - b)).toEqual(run.good);
      expect(run.client.ledger).toMatchObject({ delivered: run.good.length, rejected: run.bad.length, dropped: 0 });
    });
    await fc.assert(property, { numRuns: 100 });
  });

  test("with too small a buffer the ledger still says where every event went", async () => {
    const overflow = fc.constantFrom("DROP_OLDEST", "DROP_NEWEST", "BLOCK");
    const limits = fc.record({ overflow, maxBufferedEvents: fc.integer({ min: 1, max: 9 }) });
    const property = fc.asyncProperty(bursts, fc.array(failure), seed, limits, async (all, failures, from, options) => {
      const [dropped, rejected]: [(string | null)[], (string | null)[]] = [[], []];
      const run = begin(failures, jitter(from), {
        ...options,
        onDropped: ({ id }) => dropped.push(id),
        onRejected: ({ id }) => rejected.push(id),
      });
      for (const one of all) await offer(run, one);
      const ledger = await run.clock.until(run.client.close(10_000));
      expect(ledger).toSatisfy(isBalanced);
      expect(ledger).toMatchObject({ offered: run.good.length + run.bad.length, waiting: 0, buffered: 0, inFlight: 0 });
      expect(ledger).toMatchObject({ dropped: dropped.length, rejected: rejected.length });
      // An event given up may have been counted, when its answer was lost; every other counted one is called delivered.
      const uncertain = [...dropped, ...rejected].filter((id) => run.platform.counted.has(id ?? "")).length;
      expect(ledger.delivered).toBe(run.platform.counted.size - uncertain);
      expect(new Set(run.platform.counted.values()).size).toBe(run.platform.counted.size);
    });
    await fc.assert(property, { numRuns: 150 });
  });

  test("with a store nothing is lost or counted twice, however often the process is killed", async () => {
    const life = fc.record({
      bursts: fc.array(burst, { maxLength: 5 }),
      failures: fc.array(failure, { maxLength: 8 }),
    });
    const property = fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 5 }), seed, async (lives, from) => {
      const stored = new Map<string, string>();
      const counted = new Map<string, number>();
      let n = 0;
      for (const { bursts: all, failures } of lives) {
        const kill = new AbortController();
        const store = mortal(memoryStore(stored), kill.signal);
        const run = begin(
          failures.filter((behaviour) => typeof behaviour !== "object" || behaviour.status !== 413),
          jitter(from),
          { store },
        );
        for (const { count, thenMs } of all) {
          for (let index = 0; index < count; index++)
            void run.client.track({ type: "t.e", source: "s", data: { n: n++ } });
          await run.clock.advance(thenMs);
          expect(run.client.ledger).toSatisfy(isBalanced);
        }
        kill.abort();
        run.clock.stop();
        for (const [id, number] of run.platform.counted) counted.set(id, number);
      }
      const last = begin([], jitter(from), { store: memoryStore(stored) });
      await last.clock.until(last.client.flush());
      for (const [id, number] of last.platform.counted) counted.set(id, number);
      expect([...counted.values()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, index) => index));
      await last.clock.until(last.client.close());
      expect(stored.size).toBe(0);
    });
    await fc.assert(property, { numRuns: 100 });
  });
});

/** A store whose process may be killed: then it does nothing more and answers nothing. */
function mortal(store: KeyValueStore, killed: AbortSignal): KeyValueStore {
  const alive = <T>(use: () => Promise<T>): Promise<T> => (killed.aborted ? new Promise<T>(() => undefined) : use());
  return {
    keys: () => alive(() => store.keys()),
    get: (key) => alive(() => store.get(key)),
    set: (key, value) => alive(() => store.set(key, value)),
    delete: (key) => alive(() => store.delete(key)),
  };
}
