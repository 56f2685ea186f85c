import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LeaseLedger } from "../../../core/flow/lease.ts";
import type { LeaseRequest, Quota } from "../../../core/flow/lease-messages.ts";
import type { AdmissionAnswer, IsolateRate } from "../../../core/flow/tenant-flow.ts";
import { IsolateQuota, type QuotaCall } from "../../../workers/ingest/quota.ts";

const QUOTA: Quota = {
  ratePerSecond: 500_000,
  burst: 2_000_000,
  bytesPerSecond: 1e9,
  maxBacklog: 3_000_000,
  leaseMs: 3_000,
};

/** One isolate before a real ledger, with a clock and background work that move only when told. */
class World {
  nowMs = 0;
  readonly requests: LeaseRequest[] = [];
  readonly errors: unknown[] = [];
  isControllerAway = false;
  /** What the next requests' headers say. */
  bodyBytes: number | null = null;
  /** What the controller says of the rate. */
  rate: IsolateRate = { ratePerSecond: null, oldPerSecond: 5_000, reportEveryMs: 1_000 };
  readonly ledger: LeaseLedger;
  readonly quota = new IsolateQuota("isolate");
  #sleepers: { atMs: number; wake: () => void }[] = [];

  constructor(quota: Quota = QUOTA) {
    this.ledger = new LeaseLedger(quota, 0);
  }

  call(tenant = "default"): QuotaCall {
    return {
      tenant,
      bodyBytes: this.bodyBytes,
      ask: (request) => this.#ask(request),
      waitUntil: () => undefined,
      sleep: (ms) => new Promise((wake) => this.#sleepers.push({ atMs: this.nowMs + ms, wake })),
      now: () => this.nowMs,
      onError: (error) => this.errors.push(error),
    };
  }

  async #ask(request: LeaseRequest): Promise<AdmissionAnswer> {
    if (this.isControllerAway) throw new Error("away");
    this.requests.push(request);
    return { ...this.ledger.lease(request, this.nowMs), rate: this.rate };
  }

  async pass(ms: number): Promise<void> {
    const until = this.nowMs + ms;
    for (;;) {
      const [next] = this.#sleepers.toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > until) break;
      this.nowMs = next.atMs;
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next);
      next.wake();
      // Lets everything that waited for it run on to its next sleep.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.nowMs = until;
  }

  /** One request. @returns whether it was admitted */
  async send(events: number, quota = this.quota): Promise<boolean> {
    const refusal = await quota.refusal(this.call());
    if (refusal === null) {
      quota.settle(this.call(), events, events * 300);
      quota.left("default");
    }
    return refusal === null;
  }
}

describe("admission in an isolate", () => {
  test("asks once at first, then not for single events, and reports them a second later", async () => {
    const world = new World();
    for (let n = 0; n < 50; n++) expect(await world.send(1)).toBe(true);
    expect(world.requests).toHaveLength(1);
    await world.pass(1_000);
    const requests = { admitted: 50, refused: 0, paced: 0 };
    const used = { events: 50, bytes: 15_000 };
    expect(world.requests.slice(1)).toEqual([{ isolate: "isolate", used, requests, want: 0 }]);
    expect(world.ledger.acceptedEvents(world.nowMs)).toBe(50);
  });

  test("calls the controller once in ten thousand events under load, and reports every event", async () => {
    const world = new World();
    for (let n = 0; n < 4_000; n++) {
      expect(await world.send(500)).toBe(true);
      await world.pass(5);
    }
    // A lease that no context was left to give back has expired by then.
    await world.pass(5_000);
    expect(world.requests.length).toBeLessThan(300);
    expect(world.ledger.acceptedEvents(world.nowMs)).toBe(2_000_000);
  });

  test("holds no lease a second or two after the load ended", async () => {
    const world = new World();
    for (let n = 0; n < 1_000; n++) {
      await world.send(500);
      await world.pass(2);
    }
    await world.pass(2_000);
    expect(world.requests.at(-1)).toMatchObject({ want: 0 });
    expect(world.ledger.acceptedEvents(world.nowMs)).toBe(500_000);
  });

  test("lets no more through than the quota, and repeats a refusal from memory", async () => {
    const world = new World();
    let admitted = 0;
    for (let n = 0; n < 10_000; n++) {
      if (await world.send(10_000)) admitted += 10_000;
      world.ledger.applied(0, admitted, world.nowMs);
      await world.pass(1);
    }
    // 10 s at 500,000/s and the burst; one request's events may be owed at the end.
    expect(admitted).toBeLessThanOrEqual(7_000_000 + 10_000);
    expect(admitted).toBeGreaterThan(4_000_000);
    expect(world.requests.length).toBeLessThan(1_000);
  });

  test("several isolates together let in the quota, and each at most its allowance and one request more", async () => {
    const cases = fc.record({
      isolates: fc.integer({ min: 1, max: 5 }),
      burst: fc.integer({ min: 1, max: 20_000 }),
      events: fc.integer({ min: 1, max: 500 }),
    });
    const ratePerSecond = 1_000;
    const seconds = 4;
    await fc.assert(
      fc.asyncProperty(cases, async ({ isolates, burst, events }) => {
        const world = new World({ ratePerSecond, burst, bytesPerSecond: 1e9, maxBacklog: 1e9, leaseMs: 3_000 });
        const quotas = Array.from({ length: isolates }, (_, n) => new IsolateQuota(`isolate ${n}`));
        let admitted = 0;
        for (let n = 0; n < seconds * 200; n++) {
          const quota = quotas[n % isolates] ?? world.quota;
          if (await world.send(events, quota)) admitted += events;
          await world.pass(5);
        }
        const allowance = Math.min(1_000, burst / 10);
        expect(admitted).toBeLessThanOrEqual(burst + ratePerSecond * seconds + isolates * (allowance + events));
      }),
      { numRuns: 20 },
    );
  });

  test("over its bytes it is refused once the use was reported, two megabytes later at most and a request", async () => {
    const world = new World({ ratePerSecond: 1e6, burst: 1e7, bytesPerSecond: 1e6, maxBacklog: 1e9, leaseMs: 3_000 });
    let bytes = 0;
    for (let n = 0; n < 1_000; n++) {
      if ((await world.quota.refusal(world.call())) === null) {
        world.quota.settle(world.call(), 500, 150_000);
        world.quota.left("default");
        bytes += 150_000;
      }
      await world.pass(1);
    }
    // The bucket of ten seconds, one second of the rate, what goes unreported, and a request.
    expect(bytes).toBeLessThanOrEqual(10e6 + 1e6 + 2e6 + 150_000);
    expect(bytes).toBeGreaterThan(9e6);
  });

  test("under a rate lets requests in evenly, says that it is the rate, and when to come back", async () => {
    const world = new World();
    world.rate = { ratePerSecond: 10_000, oldPerSecond: 5_000, reportEveryMs: 100 };
    let admitted = 0;
    let refusal = null;
    for (let n = 0; n < 5_000; n++) {
      const answer = await world.quota.refusal(world.call());
      if (answer === null) world.quota.settle(world.call(), 100, 100);
      if (answer === null) world.quota.left("default");
      if (answer === null) admitted += 100;
      else refusal = answer;
      await world.pass(1);
    }
    expect(refusal).toMatchObject({ reason: "congested", remaining: 0, retryAfterSeconds: 1 });
    expect(world.quota.state("default")?.remaining).toBe(0);
    expect(admitted).toBeGreaterThan(45_000);
    expect(admitted).toBeLessThanOrEqual(55_000 + 500);
    await world.pass(2_000);
    const counts = world.requests.map(({ requests }) => requests);
    expect(counts.reduce((sum, one) => sum + (one?.admitted ?? 0), 0)).toBe(admitted / 100);
    expect(counts.reduce((sum, one) => sum + (one?.paced ?? 0), 0)).toBe(5_000 - admitted / 100);
  });

  test("lets old events in one request after another at their own rate, and newer ones past them", async () => {
    const world = new World();
    world.rate = { ratePerSecond: null, oldPerSecond: 1_000, reportEveryMs: 100 };
    const taken: number[] = [];
    const refused: unknown[] = [];
    const sendOld = async (): Promise<void> => {
      if ((await world.quota.refusal(world.call())) !== null) throw new Error("not let in");
      const answer = await world.quota.enterOld(world.call(), 100, false);
      if (answer === 100) {
        taken.push(world.nowMs);
        world.quota.settle(world.call(), 100, 30_000);
      } else refused.push(answer);
      world.quota.left("default");
    };
    await world.send(1);
    await world.pass(1_100);
    const all = Array.from({ length: 7 }, () => sendOld());
    await world.pass(20);
    // One is taken at once, four wait, two are too many.
    expect([taken.length, refused.length]).toEqual([1, 2]);
    expect(await world.send(1)).toBe(true);
    await world.pass(2_000);
    await Promise.all(all);
    expect(taken.length + refused.length).toBe(7);
    expect(taken.length).toBeGreaterThanOrEqual(3);
    for (let k = 2; k < taken.length; k++) expect((taken[k] ?? 0) - (taken[k - 1] ?? 0)).toBeGreaterThanOrEqual(80);
    expect(refused[0]).toMatchObject({ reason: "congested", message: expect.stringContaining("an hour ago") });
    await world.pass(2_000);
    const old = world.requests.map((request) => request.old);
    expect(old.reduce((sum, one) => sum + (one?.events ?? 0), 0)).toBe(taken.length * 100);
    expect(old.reduce((sum, one) => sum + (one?.heldBack ?? 0), 0)).toBe(6);
    const counts = world.requests.map(({ requests }) => requests);
    expect(counts.reduce((sum, one) => sum + (one?.refused ?? 0), 0)).toBe(refused.length);
    expect(world.ledger.acceptedEvents(world.nowMs)).toBe(taken.length * 100 + 2);
  });

  test("lets a large old request in by portions, and does not count it as refused when the rest must come later", async () => {
    const world = new World();
    world.rate = { ratePerSecond: null, oldPerSecond: 10_000, reportEveryMs: 100 };
    await world.send(1);
    await world.pass(1_100);
    expect(await world.quota.refusal(world.call())).toBeNull();
    const portions: number[] = [];
    const sendAll = async (): Promise<void> => {
      for (let left = 1_000; left > 0;) {
        const taken = await world.quota.enterOld(world.call(), left, left < 1_000);
        if (typeof taken !== "number") return;
        world.quota.settle(world.call(), taken, taken * 300);
        portions.push(taken);
        left -= taken;
      }
    };
    const all = sendAll();
    await world.pass(60);
    world.rate = { ...world.rate, oldPerSecond: 0 };
    await world.pass(5_000);
    await all;
    world.quota.left("default");
    await world.pass(2_000);
    expect(portions.length).toBeGreaterThan(1);
    expect(portions.slice(0, 2)).toEqual([300, 300]);
    const counts = world.requests.map(({ requests }) => requests);
    expect(counts.reduce((sum, one) => sum + (one?.refused ?? 0), 0)).toBe(0);
    expect(counts.reduce((sum, one) => sum + (one?.admitted ?? 0), 0)).toBe(2);
    const sent = portions.reduce((sum, events) => sum + events, 0);
    expect(world.ledger.acceptedEvents(world.nowMs)).toBe(sent + 1);
  });

  test("sends newcomers away before requests that have begun, however many come", async () => {
    const world = new World();
    world.rate = { ratePerSecond: null, oldPerSecond: 4_000, reportEveryMs: 100 };
    await world.send(1);
    await world.pass(1_100);
    const ends: ("done" | "refused" | "cut off")[] = [];
    let [within, most] = [0, 0];
    const sendOld = async (): Promise<void> => {
      if ((await world.quota.refusal(world.call())) !== null) throw new Error("not let in");
      for (let left = 500; left > 0;) {
        const taken = await world.quota.enterOld(world.call(), left, left < 500);
        if (typeof taken !== "number") {
          if (left < 500) within--;
          world.quota.left("default");
          ends.push(left < 500 ? "cut off" : "refused");
          return;
        }
        if (left === 500) within++;
        most = Math.max(most, within);
        world.quota.settle(world.call(), taken, taken * 300);
        left -= taken;
      }
      within--;
      world.quota.left("default");
      ends.push("done");
    };
    const all: Promise<void>[] = [];
    for (let n = 0; n < 60; n++) {
      all.push(sendOld());
      await world.pass(50);
    }
    await world.pass(3_000);
    await Promise.all(all);
    expect(ends.filter((end) => end === "cut off")).toEqual([]);
    expect(ends.filter((end) => end === "done").length).toBeGreaterThan(15);
    expect(ends.filter((end) => end === "refused").length).toBeGreaterThan(15);
    expect(most).toBeLessThanOrEqual(5);
  });

  test("bounds what is under way, by what requests held so far, and forgets those that went down", async () => {
    const world = new World();
    for (let n = 0; n < 100; n++) await world.send(500);
    const enter = async (): Promise<boolean> => (await world.quota.refusal(world.call())) === null;
    let entered = 0;
    while (await enter()) entered++;
    expect(entered).toBeGreaterThanOrEqual(40);
    expect(entered).toBeLessThanOrEqual(41);
    world.quota.left("default");
    expect([await enter(), await enter()]).toEqual([true, false]);
    await world.pass(10_001);
    expect(await enter()).toBe(true);
  });

  test("takes any number of small requests at once, though the last ones were large", async () => {
    const world = new World();
    for (let n = 0; n < 100; n++) await world.send(10_000);
    world.bodyBytes = 80;
    for (let n = 0; n < 1_000; n++) expect(await world.quota.refusal(world.call())).toBeNull();
  });

  test("lets eight requests in at once, however large", async () => {
    const world = new World();
    for (let n = 0; n < 100; n++) await world.send(10_000);
    let entered = 0;
    while ((await world.quota.refusal(world.call())) === null) entered++;
    expect(entered).toBe(8);
  });

  test("lets events in while the controller is away, and reports them afterwards", async () => {
    const world = new World();
    world.isControllerAway = true;
    for (let n = 0; n < 10; n++) expect(await world.send(500)).toBe(true);
    expect(world.quota.state("default")).toBeNull();
    world.isControllerAway = false;
    await world.send(1);
    await world.pass(2_000);
    expect(world.ledger.acceptedEvents(world.nowMs)).toBe(5_001);
    expect(world.errors.length).toBeGreaterThan(0);
  });

  test("notices a stop within seconds, and its end", async () => {
    const world = new World();
    expect(await world.send(1)).toBe(true);
    world.ledger.setStopped("full");
    await world.pass(1_000);
    expect(await world.send(1)).toBe(false);
    world.ledger.setStopped(null);
    await world.pass(1_000);
    expect(await world.send(1)).toBe(true);
  });

  test("goes on reporting after a request's context was cut off", async () => {
    const world = new World();
    world.quota.settle({ ...world.call(), sleep: () => new Promise(() => undefined) }, 5, 0);
    await world.pass(5_000);
    await world.send(1);
    await world.pass(1_000);
    expect(world.ledger.acceptedEvents(world.nowMs)).toBe(6);
  });

  test("keeps tenants apart", async () => {
    const world = new World();
    world.quota.settle(world.call("a"), 3, 0);
    await world.quota.refusal(world.call("b"));
    expect(world.requests).toMatchObject([{ isolate: "isolate", used: { events: 0, bytes: 0 }, want: 0 }]);
  });
});
