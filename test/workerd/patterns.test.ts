import { exports } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { MatchEvent } from "../../core/patterns/match-event.ts";
import { PatternKeeper } from "../../durable-objects/pattern-keeper.ts";
import { event } from "./event-messages.ts";
import {
  cart,
  cartLeft,
  cartPaid,
  eventually,
  evictAll,
  later,
  paid,
  ring,
  SECOND,
  T0,
  threeErrors,
  told,
  toldEvents,
  untilDone,
  withPatterns,
} from "./patterns-bench.ts";
import { message, takeClock } from "./window-aggregator-bench.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("a pattern", () => {
  test("of a sequence is matched by the first answer in time, whatever order the events come in", async () => {
    const bench = await withPatterns(cartPaid);
    await bench.stub.apply([message([paid("ann", T0 + 5 * SECOND), cart("bob", T0)])]);
    await bench.stub.apply([message([cart("ann", T0), paid("bob", T0 + 60 * SECOND), later(T0 + 90 * SECOND)])]);
    await eventually(() => told(bench)).toEqual(["pattern.matched paid: cart-ann,paid-ann"]);
    const [match] = await toldEvents(bench);
    expect(match).toMatchObject({
      source: "streamflow.patterns",
      timestamp: T0 + 5 * SECOND,
      user_id: "ann",
      severity: "medium",
      data: {
        pattern: "paid",
        version: 1,
        kind: "sequence",
        key: "ann",
        count: 2,
        event_ids: ["cart-ann", "paid-ann"],
        first_timestamp: new Date(T0).toISOString(),
        last_timestamp: new Date(T0 + 5 * SECOND).toISOString(),
      },
    });
  });

  test("of an absence is matched once the watermark has passed the last moment for an answer", async () => {
    const bench = await withPatterns(cartLeft);
    await bench.stub.apply([message([cart("ann", T0), cart("bob", T0), paid("bob", T0 + 59 * SECOND)])]);
    await bench.stub.apply([message([later(T0 + 60 * SECOND - 1)])]);
    await eventually(async () => (await bench.stub.getPattern("left"))?.kept?.buffered).toBe(3);
    expect(await told(bench)).toEqual([]);
    await bench.stub.apply([message([later(T0 + 60 * SECOND)])]);
    await eventually(() => told(bench)).toEqual(["pattern.matched left: cart-ann"]);
    expect((await toldEvents(bench))[0]?.timestamp).toBe(T0 + 60 * SECOND);
  });

  test("of an absence is matched when all traffic stops", async () => {
    const bench = await withPatterns(cartLeft);
    const clock = takeClock();
    await bench.stub.apply([message([cart("ann", Date.now())])]);
    await eventually(async () => (await bench.stub.getPattern("left"))?.kept?.buffered).toBe(1);
    clock.pass(61 * SECOND);
    await untilDone(async () => {
      await ring(bench);
      expect(await told(bench)).toEqual(["pattern.matched left: cart-ann"]);
    });
  });

  test("of a count is matched once by a burst, and again by the next one", async () => {
    const bench = await withPatterns(threeErrors);
    const at = [0, 1, 2, 3, 4, 100, 101, 102];
    const errors = at.map((s) => event(`e${s}`, T0 + s * SECOND, { type: "error", data: { host: "a" } }));
    const others = at.slice(0, 2).map((s) => event(`f${s}`, T0 + s * SECOND, { type: "error", data: { host: "b" } }));
    await bench.stub.apply([message([...errors, ...others, later(T0 + 300 * SECOND)])]);
    await eventually(() => told(bench)).toEqual([
      "pattern.matched errors: e0,e1,e2",
      "pattern.matched errors: e100,e101,e102",
    ]);
  });

  test("is taken back when a late event shows that it was none, and what was missing is told", async () => {
    const bench = await withPatterns(cartLeft, cartPaid);
    await bench.stub.apply([message([cart("ann", T0), later(T0 + 120 * SECOND)])]);
    await eventually(() => told(bench)).toEqual(["pattern.matched left: cart-ann"]);
    await bench.stub.apply([message([paid("ann", T0 + 10 * SECOND)])]);
    await eventually(async () => (await told(bench)).toSorted()).toEqual([
      "pattern.matched left: cart-ann",
      "pattern.matched paid: cart-ann,paid-ann",
      "pattern.retracted left: cart-ann",
    ]);
    const events = await toldEvents(bench);
    const retraction = events.find(({ type }) => type === "pattern.retracted");
    const match = events.find(({ data }) => data["pattern"] === "left");
    expect(retraction?.data["match_id"]).toBe(match?.id);
    expect(retraction?.timestamp).toBe(match?.timestamp);
    expect((await bench.stub.getPattern("left"))?.kept).toMatchObject({ matches: 1, retracted: 1, late: 1 });
  });

  test("passes over events without its key, and over events about patterns", async () => {
    const everything = { ...threeErrors, name: "all", event: { filter: "true" }, key: undefined, times: 2 };
    const bench = await withPatterns(cartPaid, everything);
    const keyless = event("keyless", T0, { type: "cart" });
    const own = [1, 2].map((k) => event(`own-${k}`, T0 + k, { type: "pattern.matched" }));
    await bench.stub.apply([message([keyless, ...own, later(T0 + 120 * SECOND), later(T0 + 400 * SECOND)])]);
    await eventually(async () => (await bench.stub.getPattern("paid"))?.unkeyed).toBe(1);
    await eventually(async () => (await bench.stub.getPattern("all"))?.kept?.buffered).toBe(3);
    expect(await told(bench)).toEqual(["pattern.matched ", "pattern.matched "].map(() => expect.any(String)));
    expect((await bench.stub.getPattern("all"))?.kept?.matches).toBe(0);
  });
});

describe("patterns and failures", () => {
  test("whatever is evicted after whichever step, each match is told once", async () => {
    const bench = await withPatterns(cartPaid, cartLeft, threeErrors);
    const steps = [
      [cart("ann", T0), cart("bob", T0)],
      [paid("ann", T0 + 1 * SECOND), event("e1", T0 + SECOND, { type: "error", data: { host: "a" } })],
      [later(T0 + 30 * SECOND), event("e2", T0 + 2 * SECOND, { type: "error", data: { host: "a" } })],
      [later(T0 + 90 * SECOND)],
      [event("e3", T0 + 3 * SECOND, { type: "error", data: { host: "a" } })],
      [paid("bob", T0 + 4 * SECOND), later(T0 + 120 * SECOND)],
    ];
    for (const list of steps) {
      await bench.stub.apply([message(list)]);
      await evictAll(bench);
      await bench.stub.apply([message(list)]);
      await ring(bench);
      await evictAll(bench);
    }
    const expected = [
      "pattern.matched errors: e1,e2,e3",
      "pattern.matched left: cart-bob",
      "pattern.matched paid: cart-ann,paid-ann",
      "pattern.matched paid: cart-bob,paid-bob",
      "pattern.retracted left: cart-bob",
    ];
    await untilDone(async () => {
      await ring(bench);
      expect((await told(bench)).toSorted()).toEqual(expected);
    });
    await evictAll(bench);
    await bench.stub.apply([message(steps.flat())]);
    await ring(bench);
    expect((await told(bench)).toSorted()).toEqual(expected);
  });

  test("keepers that do not answer are told later, also after a checkpoint and an eviction in between", async () => {
    const bench = await withPatterns(cartPaid);
    const away = vi.spyOn(PatternKeeper.prototype, "take").mockRejectedValue(new Error("away"));
    await bench.stub.apply([message([cart("ann", T0), paid("ann", T0 + SECOND)])]);
    await eventually(() => away.mock.calls.length).toBeGreaterThan(0);
    await bench.stub.flush();
    await bench.stub.flush();
    await evictAll(bench);
    await bench.stub.apply([message([later(T0 + 90 * SECOND)])]);
    away.mockRestore();
    await untilDone(async () => {
      await ring(bench);
      expect(await told(bench)).toEqual(["pattern.matched paid: cart-ann,paid-ann"]);
    });
  });

  test("more events than are held in memory are read back from the log once keepers answer again", async () => {
    const bench = await withPatterns(cartLeft);
    const away = vi.spyOn(PatternKeeper.prototype, "take").mockRejectedValue(new Error("away"));
    for (let call = 0; call < 55; call++)
      await bench.stub.apply([message(Array.from({ length: 1000 }, (_, k) => cart(`${call}-${k}`, T0 + call)))]);
    await eventually(() => away.mock.calls.length).toBeGreaterThan(0);
    away.mockRestore();
    await bench.stub.apply([message([cart("last", T0)])]);
    await untilDone(async () => {
      await ring(bench);
      const found = await bench.stub.getPattern("left");
      expect([found?.kept?.buffered, found?.kept?.keys]).toEqual([55_001, 55_001]);
    });
  }, 40_000);

  test("an answer of a keeper that was lost makes nothing twice", async () => {
    const bench = await withPatterns(cartPaid);
    const { take } = PatternKeeper.prototype;
    let lost = 0;
    vi.spyOn(PatternKeeper.prototype, "take").mockImplementation(async function (this: PatternKeeper, call) {
      const answer = await take.call(this, call);
      if (lost++ < 2) throw new Error("lost");
      return answer;
    });
    await bench.stub.apply([message([cart("ann", T0), paid("ann", T0 + SECOND), later(T0 + 90 * SECOND)])]);
    await untilDone(async () => {
      await ring(bench);
      expect(lost).toBeGreaterThan(2);
    });
    expect(await told(bench)).toEqual(["pattern.matched paid: cart-ann,paid-ann"]);
    expect((await bench.stub.getPattern("paid"))?.kept).toMatchObject({ matches: 1, late: 0 });
  });

  test("matches that ingest refuses wait until it takes them", async () => {
    const bench = await withPatterns(cartPaid);
    await bench.rate.setStopped("full");
    await bench.stub.apply([message([cart("ann", T0), paid("ann", T0 + SECOND), later(T0 + 90 * SECOND)])]);
    await eventually(async () => (await bench.stub.getPattern("paid"))?.kept?.matches).toBe(1);
    await evictAll(bench);
    expect(await told(bench)).toEqual([]);
    await bench.rate.setStopped(null);
    const clock = takeClock();
    clock.pass(60 * SECOND);
    await untilDone(async () => {
      await ring(bench);
      expect(await told(bench)).toEqual(["pattern.matched paid: cart-ann,paid-ann"]);
    });
  });
});

function match(k: number): MatchEvent {
  return { id: `pm-${k}`, type: "pattern.matched", source: "streamflow.patterns" };
}

describe("the way in for matches", () => {
  test("tells why an event is refused for good, and takes the others", async () => {
    const bench = await withPatterns();
    const answer = await exports.PlatformEvents.take(bench.tenant, [match(1), { ...match(2), type: "" }]);
    expect(answer).toEqual({ retryAfterMs: null, refused: [expect.stringContaining("type")] });
    await eventually(() => told(bench)).toHaveLength(1);
  });

  test("counts none of them as under way once they are queued", async () => {
    const bench = await withPatterns();
    for (let call = 0; call < 50; call++) {
      const batch = Array.from({ length: 500 }, (_, k) => match(call * 500 + k));
      expect(await exports.PlatformEvents.take(bench.tenant, batch)).toEqual({ retryAfterMs: null, refused: [] });
    }
  });
});

describe("definitions of patterns", () => {
  test("without any, no keeper is ever called and nothing is written", async () => {
    const take = vi.spyOn(PatternKeeper.prototype, "take");
    const bench = await withPatterns();
    await bench.stub.apply([message([cart("ann", T0), later(T0 + 90 * SECOND)])]);
    await bench.stub.flush();
    expect(take).not.toHaveBeenCalled();
    const count = "select count(*) as n from meta where key like 'pattern%'";
    const { n } = await runInDurableObject(bench.object, (_, { storage }) => storage.sql.exec(count).one());
    expect(n).toBe(0);
  });

  test("that nothing matches keep no log: it is trimmed as if there were none", async () => {
    const bench = await withPatterns({ ...cartPaid, first: { filter: "false" }, second: { filter: "false" } });
    for (let call = 0; call < 5; call++) {
      await bench.stub.apply([message([later(T0 + call * SECOND)])]);
      await bench.stub.flush();
    }
    await bench.stub.flush();
    const rows = "select count(*) as n from log";
    const { n } = await runInDurableObject(bench.object, (_, { storage }) => storage.sql.exec(rows).one());
    expect(n).toBe(0);
    expect(await told(bench)).toEqual([]);
  });

  test("that is replaced by another starts anew; one with other times goes on", async () => {
    const bench = await withPatterns(cartPaid);
    await bench.stub.apply([message([cart("ann", T0)])]);
    await eventually(async () => (await bench.stub.getPattern("paid"))?.kept?.buffered).toBe(1);
    const retimed = await bench.stub.putPattern({ ...cartPaid, allowed_lateness: "2h" }, "replace");
    expect(retimed).toMatchObject({ ok: true, pattern: { version: 1, kept: { buffered: 1 } } });
    const other = await bench.stub.putPattern({ ...cartPaid, within: "90s" }, "replace");
    expect(other).toMatchObject({ ok: true, pattern: { version: 2, kept: { buffered: 0 } } });
    await bench.stub.apply([
      message([paid("ann", T0 + SECOND), cart("bob", T0), paid("bob", T0 + 1), later(T0 + 120 * SECOND)]),
    ]);
    await eventually(() => told(bench)).toEqual(["pattern.matched paid: cart-bob,paid-bob"]);
    expect((await toldEvents(bench))[0]?.data["version"]).toBe(2);
  });

  test("that is deleted leaves nothing behind, and made again it shares nothing", async () => {
    const bench = await withPatterns(cartPaid);
    await bench.stub.apply([message([cart("ann", T0)])]);
    await eventually(async () => (await bench.stub.getPattern("paid"))?.kept?.buffered).toBe(1);
    expect(await bench.stub.deletePattern("paid")).toBe(true);
    expect(await bench.stub.deletePattern("paid")).toBe(false);
    await eventually(async () => (await Promise.all(bench.keepers.map((keeper) => keeper.status()))).flat()).toEqual(
      [],
    );
    expect(await bench.stub.putPattern(cartPaid, "create")).toMatchObject({ ok: true, pattern: { version: 1 } });
    await bench.stub.apply([message([paid("ann", T0 + SECOND), later(T0 + 90 * SECOND)])]);
    await eventually(async () => (await bench.stub.getPattern("paid"))?.kept?.buffered).toBe(1);
    expect(await told(bench)).toEqual([]);
  });
});
