import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CircuitBreaker } from "../../../core/streams/circuit-breaker.ts";
import { filter, map } from "../../../core/streams/map.ts";
import { pipe } from "../../../core/streams/pipe.ts";
import type { ProcessorOptions, Progress, Verdict } from "../../../core/streams/processor-options.ts";
import { StreamProcessor } from "../../../core/streams/stream-processor.ts";
import { ManualClock } from "./clocks.ts";
import { FixedFlow } from "./fixed-flow.ts";
import { counting, Probe, settle } from "./probe.ts";

type Options = ProcessorOptions<number, number>;

function setUp(options: Partial<Options> & Pick<Options, "source" | "sink">, window = 2) {
  const clock = new ManualClock();
  const flow = new FixedFlow(window);
  const processor = new StreamProcessor<number, number>({ clock, flow, random: () => 0.5, ...options });
  return { clock, flow, processor };
}

function expectBalanced(progress: Progress): void {
  expect(progress.succeeded + progress.failed + progress.inHand).toBe(progress.read);
}

/** A sink whose items are finished by hand, in any order. */
function manualSink() {
  const open = new Map<number, PromiseWithResolvers<void>>();
  const sink = (value: number): Promise<void> => {
    const work = Promise.withResolvers<void>();
    open.set(value, work);
    return work.promise;
  };
  return { open, sink };
}

describe("concurrency", () => {
  test("is what the flow's window says, and follows it up and down", async () => {
    const { open, sink } = manualSink();
    const probe = new Probe(counting(20));
    const { flow, processor } = setUp({ source: probe, sink });
    void processor.run();
    await settle();
    expect([...open.keys()]).toEqual([1, 2]);
    expect(probe.pulls).toBe(2);
    flow.window = 4.9;
    open.get(1)?.resolve();
    await settle();
    expect([...open.keys()]).toEqual([1, 2, 3, 4, 5]);
    flow.window = 1;
    for (const value of [2, 3, 4]) open.get(value)?.resolve();
    await settle();
    expect(processor.progress).toMatchObject({ read: 5, succeeded: 4, inFlight: 1, window: 1 });
    open.get(5)?.resolve();
    await settle();
    expect([...open.keys()].at(-1)).toBe(6);
    processor.stop();
  });

  test("is paced when the flow says so, by more than one timer tick at a time", async () => {
    const sent: number[] = [];
    const clock = new ManualClock();
    const flow = new FixedFlow(100, 200);
    const sink = async (): Promise<void> => void sent.push(clock.now());
    const processor = new StreamProcessor({ source: counting(6).map(Number), sink, flow, clock, random: () => 0 });
    const done = processor.run();
    await clock.advance(100);
    await done;
    expect(sent).toEqual([0, 0, 5, 10, 15, 20]);
  });
});

test("goes from the source through the operators to the sink, 10,000 items, and says what it did", async () => {
  const got: number[] = [];
  const source = pipe(
    Array.from({ length: 20_000 }, (_, index) => index),
    filter((value) => value % 2 === 0),
    map((value) => value + 1),
  );
  const { flow, processor } = setUp({ source, sink: async (value) => void got.push(value) }, 16);
  const progress = await processor.run();
  expect(got.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 10_000 }, (_, index) => index * 2 + 1));
  expect(progress).toMatchObject({
    read: 10_000,
    succeeded: 10_000,
    failed: 0,
    inHand: 0,
    attempts: 10_000,
    retries: 0,
  });
  expect(flow.maxInFlight).toBeLessThanOrEqual(16);
});

const busyFor700Ms = (): Verdict => ({ kind: "refused", retryAfterMs: 700 });

/** Fails the first attempts at each item. */
const failing =
  (times: number) =>
  async (value: number, attempt: number): Promise<void> => {
    if (attempt <= times) throw new Error(`no ${value}.${attempt}`);
  };

describe("retries", () => {
  test("wait with back-off and jitter, and the wait is no latency to the flow", async () => {
    const { clock, flow, processor } = setUp({ source: [1], sink: failing(2), retry: { baseMs: 100 } });
    const done = processor.run();
    await clock.advance(1_000);
    expect(await done).toMatchObject({ succeeded: 1, attempts: 3, retries: 2, refused: 2 });
    expect(flow.told).toEqual([
      "sent 1 at 0",
      "rejected 1 at 0",
      "sent 2 at 50",
      "rejected 2 at 50",
      "sent 3 at 150",
      "acked 3 at 150",
    ]);
  });

  test("wait as long as the sink asks for", async () => {
    const { clock, flow, processor } = setUp({ source: [1], sink: failing(1), judge: busyFor700Ms });
    void processor.run();
    await clock.advance(1_000);
    expect(flow.told).toContain("sent 2 at 700");
  });

  test("end after the last attempt, with the error, when nobody takes the item", async () => {
    const probe = new Probe(counting(1, "silence"));
    const { clock, processor } = setUp({ source: probe, sink: failing(99), retry: { attempts: 3 } });
    const done = expect(processor.run()).rejects.toThrow("no 1.3");
    await clock.advance(10_000);
    await done;
    expect(probe.returns).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test("are not tried for an item that is itself at fault; it is handed over and the rest goes on", async () => {
    const failed: unknown[] = [];
    const { flow, processor } = setUp({
      source: [1, 2, 3],
      sink: async (value) => {
        if (value === 2) throw new Error("bad item");
      },
      judge: () => ({ kind: "invalid" }),
      onFailed: async (value, error) => void failed.push([value, error]),
    });
    expect(await processor.run()).toMatchObject({ read: 3, succeeded: 2, failed: 1, attempts: 3 });
    expect(failed).toEqual([[2, new Error("bad item")]]);
    expect(flow.told.filter((line) => line.startsWith("ignored"))).toHaveLength(1);
  });

  test("keep to a window that has shrunk, and one being handed over does not hold up the next", async () => {
    const running = new Set<number>();
    let most = 0;
    const clock = new ManualClock();
    const flow = new FixedFlow(4);
    const sink = async (value: number, attempt: number): Promise<void> => {
      running.add(value);
      if (attempt > 1) most = Math.max(most, running.size);
      await new Promise<void>((resolve) => void clock.setTimer(10, resolve));
      running.delete(value);
      throw new Error("no");
    };
    const handed: number[] = [];
    const processor = new StreamProcessor<number, number>({
      source: [1, 2, 3, 4],
      sink,
      flow,
      clock,
      random: () => 0.5,
      retry: { attempts: 2 },
      onFailed: (value) => {
        handed.push(value);
        return new Promise(() => undefined);
      },
    });
    void processor.run();
    await settle();
    flow.window = 1;
    await clock.advance(1_000);
    expect([most, handed]).toEqual([1, [1, 2, 3, 4]]);
    expect(processor.progress).toMatchObject({ read: 4, inHand: 4, inFlight: 0, failed: 0 });
  });

  test("take places in the window, so a failing sink slows the source down", async () => {
    const probe = new Probe(counting(50));
    const { clock, processor } = setUp({ source: probe, sink: failing(99), retry: { attempts: 50 } }, 4);
    processor.run().catch(() => undefined);
    await clock.advance(5_000);
    expect(probe.pulls).toBe(4);
    expect(processor.progress).toMatchObject({ read: 4, inHand: 4 });
  });
});

test("an open circuit stops the attempts, costs the items none, and its recovery lets all through", async () => {
  const clock = new ManualClock();
  const flow = new FixedFlow(4);
  const changes: string[] = [];
  const breaker = new CircuitBreaker(
    { cooldownMs: 1_000, onChange: (_, to, nowMs) => changes.push(`${to} at ${nowMs}`) },
    () => 0,
  );
  const attemptsAt: number[] = [];
  const sink = async (): Promise<void> => {
    attemptsAt.push(clock.now());
    if (clock.now() < 5_000) throw new Error("down");
  };
  const source = counting(20).map(Number);
  const processor = new StreamProcessor({
    source,
    sink,
    flow,
    clock,
    breaker,
    random: () => 0.5,
    retry: { attempts: 10 },
  });
  const done = processor.run();
  await clock.advance(900);
  expect(processor.progress).toMatchObject({ circuit: "open", circuitOpened: 1, succeeded: 0 });
  await clock.advance(20_000);
  expect(await done).toMatchObject({ succeeded: 20, failed: 0, inHand: 0, circuit: "closed" });
  expect(changes.at(-1)).toMatch(/^closed at/);
  // Ten to open it, a few probes, and one each to deliver.
  expect(attemptsAt.length).toBeLessThan(45);
});

async function refuse(): Promise<void> {
  throw new Error("no");
}

describe("the end", () => {
  test("stop() closes the source at once and decides what is in hand", async () => {
    const { open, sink } = manualSink();
    const probe = new Probe(counting(2, "silence"));
    const { processor } = setUp({ source: probe, sink }, 8);
    const done = processor.run();
    await settle();
    processor.stop();
    expect(probe.returns).toBe(1);
    open.get(1)?.resolve();
    open.get(2)?.resolve();
    expect(await done).toMatchObject({ read: 2, succeeded: 2, inHand: 0 });
  });

  test("an aborted signal closes the source at once, rejects with its reason and leaves no timer", async () => {
    const controller = new AbortController();
    const probe = new Probe(counting(1, "silence"));
    const { clock, processor } = setUp({
      source: probe,
      sink: refuse,
      signal: controller.signal,
      onProgress: () => undefined,
    });
    const done = processor.run();
    await settle();
    expect(clock.pending).toBe(2);
    controller.abort(new Error("enough"));
    expect([probe.returns, clock.pending]).toEqual([1, 0]);
    await expect(done).rejects.toThrow("enough");
  });

  test("a signal aborted before the start reads nothing", async () => {
    const probe = new Probe(counting(3));
    const signal = AbortSignal.abort(new Error("early"));
    const { processor } = setUp({ source: probe, sink: async () => undefined, signal });
    await expect(processor.run()).rejects.toThrow("early");
    expect([probe.pulls, probe.returns]).toEqual([0, 1]);
  });

  test.each<[string, Pick<Options, "source" | "sink"> & Partial<Options>]>([
    ["the source", { source: new Probe([1, new Error("broken")]), sink: async () => undefined }],
    ["the judge", { source: [1], sink: refuse, judge: raise }],
    ["onFailed", { source: [1], sink: refuse, retry: { attempts: 1 }, onFailed: raise }],
    ["onProgress", { source: [1], sink: async () => undefined, onProgress: raise }],
  ])("an error of %s is the run's", async (_, options) => {
    await expect(setUp(options).processor.run()).rejects.toThrow("broken");
  });

  test("an empty source ends at once", async () => {
    const { processor } = setUp({ source: [], sink: async () => undefined });
    expect(await processor.run()).toMatchObject({ read: 0, elapsedMs: 0 });
  });
});

function raise(): never {
  throw new Error("broken");
}

test("progress is told every second and at the end, and always balances", async () => {
  const told: Progress[] = [];
  const clock = new ManualClock();
  const sink = (): Promise<void> => new Promise((resolve) => void clock.setTimer(300, resolve));
  const processor = new StreamProcessor({
    source: counting(10).map(Number),
    sink,
    flow: new FixedFlow(1),
    clock,
    random: () => 0,
    onProgress: (progress) => told.push(progress),
  });
  const done = processor.run();
  await clock.advance(10_000);
  await done;
  expect(told.map(({ elapsedMs, succeeded }) => [elapsedMs, succeeded])).toEqual([
    [1_000, 3],
    [2_000, 6],
    [3_000, expect.any(Number)],
    [3_000, 10],
  ]);
  for (const progress of told) expectBalanced(progress);
});

test("whatever fails however often, every item is decided once and the window is kept", async () => {
  const fates = fc.array(fc.record({ failures: fc.nat(4), isInvalid: fc.boolean(), takesMs: fc.nat(20) }), {
    maxLength: 25,
  });
  await fc.assert(
    fc.asyncProperty(fates, fc.integer({ min: 1, max: 6 }), async (items, window) => {
      const clock = new ManualClock();
      const flow = new FixedFlow(window);
      const decided: number[] = [];
      const failed: number[] = [];
      const sink = async (index: number, attempt: number): Promise<void> => {
        const fate = items[index] ?? { failures: 0, takesMs: 0 };
        await new Promise<void>((resolve) => void clock.setTimer(fate.takesMs, resolve));
        if (attempt <= fate.failures) throw new Error(String(index));
        decided.push(index);
      };
      const processor = new StreamProcessor<number, number>({
        source: items.keys(),
        sink,
        flow,
        clock,
        random: () => 0.1,
        retry: { attempts: 3, baseMs: 10 },
        judge: (error) => ({
          kind: error instanceof Error && items[Number(error.message)]?.isInvalid ? "invalid" : "broken",
        }),
        onFailed: (index) => void failed.push(index),
      });
      const done = processor.run();
      await clock.advance(5_000);
      const progress = await done;
      expectBalanced(progress);
      const isLost = (index: number): boolean => (items[index]?.failures ?? 0) >= (items[index]?.isInvalid ? 1 : 3);
      expect(failed.toSorted((a, b) => a - b)).toEqual([...items.keys()].filter((index) => isLost(index)));
      expect([...decided, ...failed].toSorted((a, b) => a - b)).toEqual([...items.keys()]);
      expect(flow.maxInFlight).toBeLessThanOrEqual(window);
      expect(flow.inFlight).toBe(0);
    }),
    { numRuns: 40 },
  );
});

test.each([{ attempts: 0 }, { baseMs: -1 }, { maxMs: Number.NaN }])(
  "retry %o is a RangeError and closes the source",
  async (retry) => {
    const probe = new Probe(counting(3));
    expect(() => setUp({ source: probe, sink: async () => undefined, retry })).toThrow(RangeError);
    expect([probe.pulls, probe.returns]).toEqual([0, 1]);
  },
);
