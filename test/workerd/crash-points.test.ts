import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { aggregatorName } from "../../core/events/names.ts";
import { ALL_EVENTS } from "../../core/events/query.ts";
import { encodeKnownIds } from "../../core/windows/id-handover.ts";
import { ShardMachine } from "../../core/windows/shard-machine.ts";
import { bucketOf } from "../../core/windows/stored-spans.ts";
import { AlertFeed } from "../../durable-objects/aggregator/alert-feed.ts";
import { Checkpointer } from "../../durable-objects/aggregator/checkpoint.ts";
import { packDelta } from "../../durable-objects/aggregator/delta-log.ts";
import { LateInbox } from "../../durable-objects/aggregator/late-resolver.ts";
import { LateLookups } from "../../durable-objects/aggregator/late-lookups.ts";
import { Sealer } from "../../durable-objects/aggregator/sealer.ts";
import { Sealing } from "../../durable-objects/aggregator/sealing.ts";
import { Shipping } from "../../durable-objects/aggregator/shipping.ts";
import { Silence } from "../../durable-objects/aggregator/silence.ts";
import { ShardTables } from "../../durable-objects/aggregator/tables.ts";
import { Surroundings } from "../../durable-objects/aggregator/surroundings.ts";
import { AlertManager } from "../../durable-objects/alert-manager.ts";
import { LiveHub } from "../../durable-objects/live-hub.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { WindowAggregator } from "../../durable-objects/window-aggregator.ts";
import { event, events, T0 } from "./event-messages.ts";
import { newShards } from "./shards-bench.ts";
import {
  evictWithoutSeen,
  hourlyCounts,
  message,
  newAggregator,
  sealedEvents,
  storeIsAway,
  takeClock,
} from "./window-aggregator-bench.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const HOUR = 3_600_000;

/** What came of a call that may end its object: the stub is of no more use then. */
async function outcomeOf(call: () => Promise<unknown>): Promise<"done" | "failed"> {
  const [result] = await Promise.allSettled([(async () => await call())()]);
  return result?.status === "fulfilled" ? "done" : "failed";
}

describe("a throw in the middle of a change (C6, C7, C18)", () => {
  test.each([
    ["memory is changed and the disk is not", () => failOnce(ShardMachine.prototype, "fold", "after")],
    ["the log cannot be written", () => failOnce(ShardTables.prototype, "appendLog", "before")],
    ["the disk is full after the log was written", () => failOnce(ShardTables.prototype, "appendLog", "after")],
    ["a checkpoint cannot be written", () => failOnce(ShardTables.prototype, "writeWindows", "before")],
  ])("when %s, nothing of the call is kept and the same call counts once", async (_, fail) => {
    const { tenant } = newAggregator();
    const call = async () => {
      const stub = windowAggregator(env, tenant);
      await stub.apply([message(events(30, "a")), message(events(30, "b", T0 + HOUR))]);
      await stub.flush();
    };
    await windowAggregator(env, tenant).apply([message(events(10, "before"))]);
    const failure = fail();
    expect(await outcomeOf(call)).toBe("failed");
    expect(failure.calls()).toBe(1);
    expect(await outcomeOf(call)).toBe("done");
    expect(await hourlyCounts(windowAggregator(env, tenant))).toEqual([40, 30]);
    expect(await windowAggregator(env, tenant).stats()).toMatchObject({ total_events: 70 });
    await expectOnDisk(tenant, { hours: [40, 30], stored: 70 });
  });

  test("when late events cannot be taken out of their inbox, they are looked up again and count once", async () => {
    const { tenant, object } = newAggregator();
    const stub = () => windowAggregator(env, tenant);
    await stub().apply([message(events(20, "old"))]);
    await stub().apply([message(events(20, "newer", T0 + 3 * HOUR))]);
    await stub().flush();
    await evictWithoutSeen(object);
    const failure = failOnce(LateInbox.prototype, "settle", "after");
    await outcomeOf(() => stub().apply([message([...events(20, "old"), event("really-new", T0 + 5)])]));
    await expect.poll(() => failure.calls()).toBe(1);
    await expect.poll(async () => await outcomeOf(() => stub().flush())).toBe("done");
    expect(await hourlyCounts(stub())).toEqual([21, 20]);
    await expectOnDisk(tenant, { hours: [21, 20], stored: 41 });
    expect(await stub().metrics()).toMatchObject({ events_late_pending: 0, events_duplicate: 20 });
  });

  test("when home fails in the middle of a merge, the shard sends the delta again and it counts once", async () => {
    const { tenant, send, shards } = await newShards(2);
    const failure = failOnce(ShardMachine.prototype, "merge", "after");
    await send(events(80));
    await expect.poll(() => failure.calls()).toBe(1);
    await expect
      .poll(async () => await Promise.all(shards.map((shard) => outcomeOf(() => shard.drain()))))
      .toEqual(["done", "done"]);
    expect(await hourlyCounts(windowAggregator(env, tenant))).toEqual([80]);
    await expectOnDisk(tenant, { hours: [80], stored: 80 });
  });
});

/** A stub of its own: one that has seen its object end is of no more use. */
const homeOf = (tenant: string) => env.WINDOW_AGGREGATOR.getByName(aggregatorName(tenant, 0));

/** What memory shows may never have reached the disk: asks again after a restart, and the store as well. */
async function expectOnDisk(
  tenant: string,
  wanted: { readonly hours: readonly number[]; readonly stored: number },
): Promise<void> {
  await evictDurableObject(homeOf(tenant));
  expect(await hourlyCounts(windowAggregator(env, tenant))).toEqual(wanted.hours);
  await windowAggregator(env, tenant).flush();
  expect(await sealedEvents(tenant)).toBe(wanted.stored);
}

describe("late events in their inbox", () => {
  test("are still there after a crash before their look-up, and the alarm has them looked up", async () => {
    const { stub, object, tenant } = newAggregator();
    const clock = takeClock();
    await stub.apply([message(events(20, "old"))]);
    await stub.apply([message(events(20, "newer", T0 + 3 * HOUR))]);
    await stub.flush();
    await evictWithoutSeen(object);
    const lookUp = vi.spyOn(LateInbox.prototype, "resolve").mockRejectedValue(new Error("the store is away"));
    expect(await stub.apply([message([...events(20, "old"), event("really-new", T0 + 5)])])).toMatchObject({
      late: 21,
    });
    await runInDurableObject(object, (_, state) => state.abort("ended by the test")).catch(() => undefined);
    const { events_late_pending: pending } = await windowAggregator(env, tenant).metrics();
    expect(pending).toBe(21);
    lookUp.mockRestore();
    clock.pass(61_000);
    expect(await runDurableObjectAlarm(homeOf(tenant))).toBe(true);
    expect(await hourlyCounts(windowAggregator(env, tenant))).toEqual([21, 20]);
    await expectOnDisk(tenant, { hours: [21, 20], stored: 41 });
    expect(await windowAggregator(env, tenant).metrics()).toMatchObject({
      events_late_pending: 0,
      events_duplicate: 20,
    });
  });

  test("find a copy that leaves the log for the store while they are looked up", async () => {
    const { stub, object, tenant } = newAggregator();
    const seal = vi.spyOn(Sealer.prototype, "seal");
    await stub.apply([message(events(1, "early", T0))]);
    await stub.apply([message(events(20, "newer", T0 + 3 * HOUR))]);
    await stub.flush();
    await evictWithoutSeen(object);
    await stub.flush();
    const sealer = seal.mock.contexts.at(-1) as Sealer;
    // Old, new, and not sealed when its copy comes.
    await stub.apply([message([event("copied", T0 + 5)])]);
    await expect.poll(async () => (await stub.metrics())["events_late_pending"]).toBe(0);
    expect(await sealedEvents(tenant)).toBe(21);
    const statement = Object.getPrototypeOf(env.DB.prepare("select 1")) as D1PreparedStatement;
    const all = statement.all;
    let searches = 0;
    vi.spyOn(statement, "all").mockImplementation(async function (this: D1PreparedStatement) {
      const found = await all.call(this);
      // The store has answered without the first copy; before the answer arrives, that is sealed.
      if (searches++ === 0) await sealer.seal(true, Date.now());
      return found as never;
    });
    expect(await stub.apply([message([event("copied", T0 + 5)])])).toMatchObject({ late: 1 });
    await stub.flush();
    expect(searches).toBeGreaterThan(0);
    expect(await hourlyCounts(stub)).toEqual([2, 20]);
    expect(await sealedEvents(tenant)).toBe(22);
  });
});

describe("the alarm (C13)", () => {
  test("is set again though everything it does throws, seven times, and then does all of it", async () => {
    const { stub, object, tenant } = newAggregator();
    const clock = takeClock();
    await stub.apply([message(events(10, "e", Date.now()))]);
    const broken = [
      vi.spyOn(Silence.prototype, "checkIfDue"),
      vi.spyOn(LateLookups.prototype, "runIfDue"),
      vi.spyOn(Sealing.prototype, "sealIfDue"),
      vi.spyOn(Shipping.prototype, "runIfDue"),
      vi.spyOn(AlertFeed.prototype, "tell"),
    ];
    for (const spy of broken) spy.mockRejectedValue(new Error("broken"));
    for (let k = 0; k < 7; k++) {
      clock.pass(61_000);
      expect(await runDurableObjectAlarm(object)).toBe(true);
    }
    for (const spy of broken) spy.mockRestore();
    clock.pass(61_000);
    expect(await runDurableObjectAlarm(object)).toBe(true);
    expect(await sealedEvents(tenant)).toBe(10);
  });

  test("that rings twice changes nothing the second time", async () => {
    const { stub, object, tenant } = newAggregator();
    const clock = takeClock();
    await stub.apply([message(events(10, "e", Date.now()))]);
    clock.pass(2 * HOUR);
    await runInDurableObject(object, async (instance) => {
      await instance.alarm?.();
      await instance.alarm?.();
    });
    expect(await sealedEvents(tenant)).toBe(10);
    expect(await hourlyCounts(stub)).toEqual([10]);
  });
});

describe("the store commits and the answer is lost (C12, C16)", () => {
  test.each([false, true])(
    "the same segments are written again and hold each event once; evicted in between: %s",
    async (isEvicted) => {
      const { tenant, object } = newAggregator();
      await windowAggregator(env, tenant).apply([message(events(50))]);
      const lost = failOnce(
        Object.getPrototypeOf(env.DB) as { batch: (...args: unknown[]) => unknown },
        "batch",
        "after",
      );
      expect(await outcomeOf(() => windowAggregator(env, tenant).flush())).toBe("failed");
      expect(lost.calls()).toBe(1);
      expect(await sealedEvents(tenant)).toBe(50);
      if (isEvicted) await evictDurableObject(object);
      // More comes before the second try, which must not become part of what was begun.
      await windowAggregator(env, tenant).apply([message(events(5, "more", T0 + HOUR))]);
      await windowAggregator(env, tenant).flush();
      expect(await sealedEvents(tenant)).toBe(55);
      expect((await windowAggregator(env, tenant).metrics())["unsealed_events"]).toBe(0);
    },
  );
});

describe("the store fails before it commits (C12, C16)", () => {
  test.each([false, true])("nothing leaves the log before it is stored; evicted in between: %s", async (isEvicted) => {
    const { tenant, object } = newAggregator();
    await windowAggregator(env, tenant).apply([message(events(50))]);
    const lost = failOnce(
      Object.getPrototypeOf(env.DB) as { batch: (...args: unknown[]) => unknown },
      "batch",
      "before",
    );
    expect(await outcomeOf(() => windowAggregator(env, tenant).flush())).toBe("failed");
    expect(lost.calls()).toBe(1);
    expect(await sealedEvents(tenant)).toBe(0);
    if (isEvicted) await evictDurableObject(object);
    expect((await windowAggregator(env, tenant).readTail(ALL_EVENTS, null, 100)).events).toHaveLength(50);
    await windowAggregator(env, tenant).flush();
    expect(await sealedEvents(tenant)).toBe(50);
  });
});

/** Long enough for a checkpoint to be due, and for sealing to be tried again. */
async function round(clock: { pass(ms: number): void }, object: Parameters<typeof runDurableObjectAlarm>[0]) {
  clock.pass(601_000);
  await runDurableObjectAlarm(object);
}

describe("what the log may forget", () => {
  test("is nothing that is not sealed, whatever checkpoints are written while the store is away", async () => {
    const { stub, object, tenant } = newAggregator();
    const clock = takeClock();
    const away = storeIsAway();
    const write = vi.spyOn(Checkpointer.prototype, "write");
    for (let k = 0; k < 4; k++) {
      await stub.apply([message(events(10, `part-${k}`, T0 + k * 60_000))]);
      await round(clock, object);
    }
    expect(write.mock.calls.length).toBeGreaterThanOrEqual(3);
    await evictDurableObject(object);
    away.mockRestore();
    await stub.flush();
    expect(await sealedEvents(tenant)).toBe(40);
    expect(await hourlyCounts(stub)).toEqual([40]);
  });

  test("is nothing of a shard that home has not merged, whatever is sealed and checkpointed meanwhile", async () => {
    const { home, tenant, send, shards, object } = await newShards(1);
    const clock = takeClock();
    const away = vi.spyOn(WindowAggregator.prototype, "merge").mockRejectedValue(new Error("away"));
    const write = vi.spyOn(Checkpointer.prototype, "write");
    for (let k = 0; k < 4; k++) {
      await send(events(10, `part-${k}`, T0 + k * 60_000));
      await round(clock, object(1));
    }
    expect(write.mock.calls.length).toBeGreaterThanOrEqual(3);
    expect(await sealedEvents(tenant)).toBe(40);
    await evictDurableObject(object(1));
    away.mockRestore();
    for (const shard of shards) await shard.drain();
    expect(await hourlyCounts(home)).toEqual([40]);
  });
});

describe("a shard that takes slots over", () => {
  test("forgets what it knew of a time that the giver had forgotten, also over a restart: all of it is looked up", async () => {
    const { stub, object } = newAggregator();
    await stub.apply([message(events(5, "own"))]);
    await stub.flush();
    const bucket = bucketOf(T0);
    const sources = [
      { name: "", newest: null, stored: [] },
      { name: "shop", newest: null, stored: [bucket, bucket + 1] },
    ];
    await stub.adopt(
      1,
      [],
      encodeKnownIds({ newestReceived: null, assignedForgottenThrough: null, sources, groups: [] }),
    );
    await evictDurableObject(object);
    const outcome = await stub.apply([message([event("stored-by-the-giver", T0 + 1), ...events(5, "own")])]);
    expect(outcome).toMatchObject({ fresh: 0, late: 6 });
    await stub.flush();
    expect(await hourlyCounts(stub)).toEqual([6]);
  });
});

describe("versions that meet (C14)", () => {
  test("a log whose chunks have no heads, as it once was written, is read all the same", async () => {
    const { stub, object, tenant } = newAggregator();
    const clock = takeClock();
    const away = storeIsAway();
    for (let k = 0; k < 4; k++) {
      await stub.apply([message(events(10, `a-${k}`, T0 + k * HOUR)), message(events(5, `b-${k}`, T0 + k * HOUR))]);
      await round(clock, object);
    }
    await runInDurableObject(object, (_, { storage }) => void storage.sql.exec("update log set chunks = null"));
    await evictDurableObject(object);
    expect(await hourlyCounts(stub)).toEqual([15, 15, 15, 15]);
    expect(
      (await stub.readTail({ ...ALL_EVENTS, fromMs: T0 + HOUR, toMs: T0 + 2 * HOUR }, null, 100)).events,
    ).toHaveLength(15);
    away.mockRestore();
    await stub.flush();
    expect(await sealedEvents(tenant)).toBe(60);
  });

  test("a delta of another version is refused whole, and its shard keeps the events until home can read it", async () => {
    const { home, send, shards, object } = await newShards(1);
    const strange = packDelta(Uint8Array.of(2, 1, 1, 1, 1));
    const refusal = await runInDurableObject(object(0), async (instance) => {
      const [result] = await Promise.allSettled([(instance as unknown as typeof home).merge(strange)]);
      return String(result?.status === "rejected" ? result.reason : result?.status);
    });
    expect(refusal).toContain("version 2");
    await send(events(10));
    for (const shard of shards) await shard.drain();
    expect(await hourlyCounts(home)).toEqual([10]);
  });
});

describe("an instance that was replaced (C17)", () => {
  test("takes no events and tells nobody anything: its storage is closed to it", async () => {
    const { stub, object } = newAggregator();
    await stub.apply([message(events(10))]);
    const replaced = await runInDurableObject(object, (instance: WindowAggregator, state) => ({
      instance,
      around: new Surroundings(state, env),
    }));
    await evictDurableObject(object);
    await stub.apply([message(events(10, "b", T0 + HOUR))]);
    const publish = vi.spyOn(LiveHub.prototype, "publish");
    const windowsClosed = vi.spyOn(AlertManager.prototype, "windowsClosed");
    const outcomes = await runInDurableObject(object, async () => [
      await outcomeOf(async () => await replaced.instance.apply([message(events(10, "c"))])),
      await outcomeOf(async () => await replaced.around.publish([])),
      await outcomeOf(async () => await replaced.around.deliver([])),
    ]);
    expect(outcomes).toEqual(["failed", "failed", "failed"]);
    expect([publish.mock.calls, windowsClosed.mock.calls]).toEqual([[], []]);
    expect(await hourlyCounts(stub)).toEqual([10, 10]);
  });
});

async function answerLost(result: unknown): Promise<never> {
  await result;
  throw new Error("the answer is lost");
}

/** The next call of a method throws, before or after it has done its work. */
function failOnce<T extends object>(target: T, method: keyof T & string, when: "before" | "after") {
  const original = target[method] as (this: unknown, ...args: unknown[]) => unknown;
  let calls = 0;
  const spy = vi.spyOn(target, method as never) as unknown as {
    mockImplementation(call: (this: unknown, ...args: unknown[]) => unknown): void;
  };
  spy.mockImplementation(function (this: unknown, ...args) {
    if (calls++ > 0) return original.apply(this, args);
    if (when === "before") throw new Error("no room");
    const result = original.apply(this, args);
    if (result instanceof Promise) return answerLost(result);
    throw new Error("no room any more");
  });
  return { calls: () => Math.min(calls, 1) };
}
