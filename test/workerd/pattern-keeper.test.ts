import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { patternKeeperName } from "../../core/events/names.ts";
import type { RowsPart } from "../../core/patterns/forwarded-rows.ts";
import { type KeeperInput, KeeperMachine } from "../../core/patterns/keeper-machine.ts";
import { matchEvent } from "../../core/patterns/match-event.ts";
import type { StoredPattern } from "../../core/patterns/plan.ts";
import { MAX_OUTBOX_ROWS } from "../../durable-objects/patterns/keeper.ts";
import type { KeeperCall } from "../../durable-objects/patterns/messages.ts";
import { MatchSender } from "../../durable-objects/patterns/match-sender.ts";
import { KeeperTables } from "../../durable-objects/patterns/tables.ts";
import { packChunk } from "../../storage/chunk.ts";
import { PlatformEvents } from "../../workers/ingest/platform-events.ts";
import { rowsPart } from "../pure/patterns/rows.ts";
import { newTenant } from "./event-messages.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const T0 = Date.now() - 3_600_000;

const patterns: readonly StoredPattern[] = [
  {
    id: 1,
    version: 1,
    definition: {
      name: "pair",
      kind: "sequence",
      first: { filter: "true" },
      second: { filter: "true" },
      within: "20s",
      key: "user_id",
      allowed_lateness: "60s",
    },
  },
  {
    id: 2,
    version: 1,
    definition: { name: "burst", kind: "count", event: { filter: "true" }, times: 3, within: "30s", key: "data.host" },
  },
];

const jitter = (k: number): number => ((k * 7919) % 30_000) + (k % 7 === 0 ? 60_000 : 0);

/** `count` events in a row, in disorder of up to half a minute, a seventh of them late by a minute and more. */
function rows(call: number, count: number): RowsPart {
  const list = Array.from({ length: count }, (_, k) => call * count + k);
  return rowsPart(
    list.map((k) => ({
      pattern: 1 + (k % 2),
      key: `"user-${(k * 31) % 17}"`,
      at: T0 + k * 500 - jitter(k),
      id: `event-${k}`,
      steps: 1 + (k % 3),
    })),
  );
}

function callOf(through: number, given: RowsPart, watermark: number, more: Partial<KeeperCall> = {}): KeeperCall {
  const told = patterns.map(({ id }) => [id, watermark] as const);
  return {
    shard: 0,
    incarnation: "life",
    runs: [{ through, rows: given.id.length === 0 ? [] : [given.toText()] }],
    watermarks: told,
    epoch: 1,
    patterns,
    ...more,
  };
}

/** A keeper of its own, and what it has sent, by event id. */
function newKeeper() {
  const tenant = newTenant("keeper");
  const stub = env.PATTERN_KEEPER.getByName(patternKeeperName(tenant, 0));
  const sent = new Map<string, number>();
  const take = vi.spyOn(PlatformEvents.prototype, "take").mockImplementation(async (to, events) => {
    if (to === tenant) for (const { id } of events) sent.set(id, (sent.get(id) ?? 0) + 1);
    return { retryAfterMs: null, refused: [] };
  });
  const count = async (table: string): Promise<unknown> =>
    await runInDurableObject(
      stub,
      (_, { storage }) => storage.sql.exec(`select count(*) as n from ${table}`).one()["n"],
    );
  return { tenant, stub, sent, take, count };
}

describe("a keeper object", () => {
  test("tells what its machine tells, over checkpoints and evictions, with every call made twice", async () => {
    const { stub, sent, count } = newKeeper();
    const machine = new KeeperMachine(patterns, [], () => {});
    const expected = new Set<string>();
    for (let call = 0; call < 560; call++) {
      const given = rows(call, 8);
      const watermark = T0 + call * 4000 - 15_000;
      const input: KeeperInput = { rows: given, watermarks: patterns.map(({ id }) => [id, watermark] as const) };
      for (const outcome of machine.take(input)) expected.add(matchEvent(outcome).id);
      expect(await stub.take(callOf(call, given, watermark))).toMatchObject({ ok: true, wants: machine.wants() });
      if (call % 60 === 0) await evictDurableObject(stub);
      if (call % 11 === 0) await stub.take(callOf(call, given, watermark));
    }
    expect(await count("pages")).toBeGreaterThan(0);
    expect(await count("log")).toBeLessThan(560);
    await evictDurableObject(stub);
    const states = [...machine.patterns.values()];
    expect(await stub.status()).toEqual(
      states.map(({ pattern, keys, size, counts }) => ({ id: pattern.id, keys: keys.size, buffered: size, ...counts })),
    );
    for (const { counts } of states) {
      expect(counts.matches).toBeGreaterThan(50);
      expect(counts.late).toBeGreaterThan(100);
    }
    expect(states[0]?.counts.retracted).toBeGreaterThan(5);
    await expect.poll(() => [...sent.keys()].toSorted(), { timeout: 20_000 }).toEqual([...expected].toSorted());
  }, 60_000);

  test("takes one call with more than a log row holds, and a burst of more matches than go at once", async () => {
    const { stub, sent, count } = newKeeper();
    const many = Array.from({ length: 12_000 }, (_, k) => ({
      pattern: 1,
      key: `"user-${k >> 1}"`,
      at: T0 + k,
      id: `event-number-${k}-with-a-name-as-long-as-those-that-people-give`,
      steps: 1 + (k % 2),
    }));
    const parts = [many.slice(0, 7000), many.slice(7000)].map((part) => rowsPart(part).toText());
    await stub.take(callOf(1, rows(0, 0), T0, { runs: [{ through: 1, rows: parts }] }));
    expect(await count("log")).toBeGreaterThan(1);
    await evictDurableObject(stub);
    await stub.take(callOf(2, rows(0, 0), T0 + 60_000));
    expect(await stub.status()).toMatchObject([{ matches: 6000 }, { matches: 0 }]);
    await expect.poll(() => sent.size, { timeout: 20_000 }).toBe(6000);
    expect([...sent.values()].every((times) => times === 1)).toBe(true);
  }, 40_000);

  test("asks for definitions it does not know, and is busy while too much waits to be sent", async () => {
    const { stub, tenant, take } = newKeeper();
    const { patterns: _, ...without } = callOf(1, rows(0, 5), T0);
    expect(await stub.take(without)).toEqual({ ok: false, reason: "needs_patterns" });
    expect(await stub.status()).toEqual([]);
    await stub.take(callOf(1, rows(0, 5), T0));
    expect(await stub.take({ ...without, epoch: 0 })).toMatchObject({ ok: true });
    take.mockImplementation(async (to) => ({ retryAfterMs: to === tenant ? 60_000 : null, refused: [] }));
    await runInDurableObject(stub, (_object, { storage }) => {
      for (let k = 0; k < MAX_OUTBOX_ROWS; k++)
        storage.sql.exec("insert into outbox (body) values (?)", packChunk("[]"));
    });
    expect(await stub.take(callOf(2, rows(1, 5), T0))).toEqual({ ok: false, reason: "busy" });
  });

  test("where the queue forgets what it holds when it is killed, keeps what it sent for a while, and sends it again after a start", async () => {
    const { stub } = newKeeper();
    await runInDurableObject(stub, async (_object, { storage }) => {
      let now = T0;
      const sent: string[] = [];
      const send = async (events: readonly { readonly id: string }[]) => {
        sent.push(...events.map(({ id }) => id));
        return { retryAfterMs: null, refused: [] };
      };
      const start = (): { tables: KeeperTables; sender: MatchSender } => {
        const tables = new KeeperTables(storage.sql);
        return {
          tables,
          sender: new MatchSender(tables, { send, keepSentMs: 60_000, now: () => now, report: () => {} }),
        };
      };
      const first = start();
      for (const id of ["a", "b"]) {
        first.tables.addOutgoing(packChunk(JSON.stringify([{ id }])));
        await first.sender.run();
        now += 40_000;
      }
      expect([sent.join(""), first.tables.outgoing, first.sender.dueAt]).toEqual(["ab", 0, T0 + 60_000]);
      await first.sender.run();
      const second = start();
      expect(second.tables.outgoing).toBe(1);
      await second.sender.run();
      expect([sent.join(""), second.tables.outgoing, second.sender.dueAt]).toEqual(["abb", 0, now + 60_000]);
      now += 60_000;
      await second.sender.run();
      expect([second.sender.dueAt, start().tables.outgoing]).toEqual([null, 0]);
    });
  });
});
