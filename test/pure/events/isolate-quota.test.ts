import { describe, expect, test } from "vitest";
import { LeaseLedger, type LeaseRequest } from "../../../core/flow/lease.ts";
import type { AdmissionAnswer, IsolateRate } from "../../../core/flow/tenant-flow.ts";
import { IsolateQuota, type QuotaCall } from "../../../workers/ingest/quota.ts";

/** One isolate before a real ledger, with a clock and background work that move only when told. */
class World {
  nowMs = 0;
  readonly requests: LeaseRequest[] = [];
  readonly errors: unknown[] = [];
  isControllerAway = false;
  /** What the controller says of the rate. */
  rate: IsolateRate = { ratePerSecond: null, reportEveryMs: 1_000 };
  readonly ledger = new LeaseLedger(
    { ratePerSecond: 500_000, burst: 2_000_000, bytesPerSecond: 1e9, maxBacklog: 3_000_000, leaseMs: 3_000 },
    0,
  );
  readonly quota = new IsolateQuota("isolate");
  #sleepers: { atMs: number; wake: () => void }[] = [];

  call(tenant = "default"): QuotaCall {
    return {
      tenant,
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
  async send(events: number): Promise<boolean> {
    const refusal = await this.quota.refusal(this.call());
    if (refusal === null) this.quota.settle(this.call(), events, events * 300);
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
