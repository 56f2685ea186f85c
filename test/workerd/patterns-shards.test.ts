import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { patternKeeperName } from "../../core/events/names.ts";
import { KEEPERS } from "../../core/patterns/forward.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { PatternKeeper } from "../../durable-objects/pattern-keeper.ts";
import type { StreamEvent } from "../../core/events/event.ts";
import { event } from "./event-messages.ts";
import { call, makeTenant } from "./http-client.ts";
import { cart, cartLeft, cartPaid, eventually, later, paid, SECOND, T0, told, untilDone } from "./patterns-bench.ts";
import { newShards } from "./shards-bench.ts";
import { takeClock } from "./window-aggregator-bench.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const users = Array.from({ length: 12 }, (_, k) => `user${k}`);
const paying = users.filter((_, k) => k % 3 !== 0);

/** What stands once all is said. */
const expected = [
  ...users.filter((user) => !paying.includes(user)).map((user) => `pattern.matched left: cart-${user}`),
  ...paying.map((user) => `pattern.matched paid: cart-${user},paid-${user}`),
].toSorted();

/** Matches less those taken back: events that wait for a slot to move may come after the watermark. */
function standing(all: readonly string[]): string[] {
  const retracted = all.filter((one) => one.startsWith("pattern.retracted"));
  const gone = new Set(retracted.map((one) => one.replace("retracted", "matched")));
  return all.filter((one) => one.startsWith("pattern.matched") && !gone.has(one)).toSorted();
}

describe("patterns of a tenant with two shards", () => {
  test("are matched by events of different shards, whoever is evicted after whichever step", async () => {
    const { home, send, shards, object, tenant } = await newShards(2);
    for (const definition of [cartPaid, cartLeft]) await home.putPattern(definition, "create");
    const steps = [
      users.map((user) => cart(user, T0)),
      paying.map((user) => paid(user, T0 + SECOND)),
      Array.from({ length: 8 }, (_, k) => later(T0 + 61 * SECOND + k)),
    ];
    for (const [k, list] of steps.entries()) {
      await send(list);
      await evictDurableObject(object(k));
      await send(list);
      for (const shard of shards) await shard.drain();
      await evictDurableObject(object((k + 1) % 3));
      for (let keeper = 0; keeper < KEEPERS; keeper++) {
        const stub = env.PATTERN_KEEPER.getByName(patternKeeperName(tenant, keeper));
        await stub.status();
        await evictDurableObject(stub);
      }
    }
    await untilDone(async () => {
      await runDurableObjectAlarm(object(0));
      expect(standing(await told({ stub: home }))).toEqual(expected);
    });
  });

  test("are matched when all traffic stops, though home itself has forwarded nothing", async () => {
    const { home, send, shards, object } = await newShards(2);
    await home.putPattern(cartLeft, "create");
    const clock = takeClock();
    await send([cart("ann", Date.now())]);
    for (const shard of shards) await shard.drain();
    clock.pass(61 * SECOND);
    await untilDone(async () => {
      for (const k of [1, 2, 0]) await runDurableObjectAlarm(object(k));
      expect(await told({ stub: home })).toEqual(["pattern.matched left: cart-ann"]);
    });
  });

  test("count events without a key over all shards", async () => {
    const { home, send, shards } = await newShards(2);
    await home.putPattern(cartPaid, "create");
    await send(users.map((user) => cart(user, T0)));
    for (const shard of shards) await shard.drain();
    await send(users.map((user) => event(`keyless-${user}`, T0, { type: "cart" })));
    for (const shard of shards) await shard.drain();
    expect(await home.getPattern("paid")).toMatchObject({ unkeyed: users.length, kept: { buffered: users.length } });
  });

  test("see what shards had not shipped when the pattern was made, and nothing from before", async () => {
    const { home, send, shards } = await newShards(2);
    await send(users.map((user) => cart(user, T0)));
    for (const shard of shards) await shard.drain();
    const ship = vi.spyOn(PatternKeeper.prototype, "take");
    await home.putPattern(cartPaid, "create");
    await send(users.map((user) => event(`second-${user}`, T0 + 1, { type: "cart", user_id: user })));
    await send(users.map((user) => paid(user, T0 + SECOND)));
    await send(Array.from({ length: 8 }, (_, k) => later(T0 + 61 * SECOND + k)));
    for (const shard of shards) await shard.drain();
    await eventually(() => told({ stub: home })).toEqual(
      expect.arrayContaining(users.map((user) => `pattern.matched paid: second-${user},paid-${user}`)),
    );
    expect(await told({ stub: home })).toHaveLength(users.length);
    expect(ship).toHaveBeenCalled();
  });
});

const isPaying = (user: string): boolean => paying.some((name) => user.endsWith(`-${name}`));

describe("patterns of a tenant that grows and shrinks", () => {
  test("match events from before, during and after each change of the number of shards", async () => {
    const { id: tenant, adminKey: key } = await makeTenant();
    for (const json of [cartPaid, cartLeft]) await call("POST", "/api/v1/patterns", { key, json });
    const home = windowAggregator(env, tenant);
    const send = async (list: readonly StreamEvent[]): Promise<void> => {
      const events = list.map(({ id, type, user_id: user, timestamp }) => ({
        id,
        type,
        source: "shop",
        timestamp,
        ...(user === undefined ? {} : { user_id: user }),
      }));
      expect((await call("POST", "/events/batch", { key, json: { events } })).status).toBe(200);
    };
    const began = Date.now() - 400 * SECOND;
    let said: string[] = [];
    for (const [k, shards] of [4, 2].entries()) {
      const group = users.map((user) => `to${shards}-${user}`);
      const at = began + k * 100 * SECOND;
      await send(group.map((user) => cart(user, at)));
      await home.setShards(shards);
      await send(group.filter(isPaying).map((user) => paid(user, at + SECOND)));
      await untilDone(async () => expect((await home.shards()).moving).toBe(false));
      said = [...said, ...group];
    }
    await send(Array.from({ length: 16 }, (_, k) => later(began + 300 * SECOND + k)));
    const found = said.map((user) => {
      return isPaying(user) ? `pattern.matched paid: cart-${user},paid-${user}` : `pattern.matched left: cart-${user}`;
    });
    await eventually(async () => standing(await stored(key))).toEqual(found.toSorted());
  }, 60_000);
});

/** What patterns have told, wherever it is stored. */
async function stored(key: string): Promise<string[]> {
  const { data } = await call("GET", "/api/v1/events?source=streamflow.patterns&limit=1000", { key });
  const events = data["events"] as { type: string; data: { pattern: string; event_ids: string[] } }[];
  return events.map(({ type, data: { pattern, event_ids: ids } }) => `${type} ${pattern}: ${String(ids)}`).toSorted();
}
