import { describe, expect, test } from "vitest";
import type { DownstreamReport } from "../../../durable-objects/rate/downstream.ts";
import { CallLimiter, type LimiterDeps, NotCalledError } from "../../../workers/consume/limiter.ts";
import { portions } from "../../../workers/consume/portions.ts";

/** A limiter with a clock that moves when somebody waits. */
class World {
  nowMs = 0;
  readonly reports: DownstreamReport[] = [];
  readonly changes: string[] = [];
  readonly limiter = new CallLimiter();
  readonly deps: LimiterDeps = {
    random: () => 0.5,
    now: () => this.nowMs,
    wait: async (ms) => {
      this.nowMs += ms;
      // Calls that are under way get on as well.
      await new Promise((resolve) => setImmediate(resolve));
    },
    report: (_, report) => this.reports.push(report),
    log: ({ from, to }) => this.changes.push(`${from} → ${to}`),
  };

  run<Result>(ask: () => Promise<Result>, tenant = "t"): Promise<Result> {
    return this.limiter.run(tenant, 0, ask, this.deps);
  }

  /** @returns what a call came to */
  async outcome(ask: () => Promise<unknown>, tenant = "t"): Promise<string> {
    try {
      await this.run(ask, tenant);
      return "done";
    } catch (error) {
      return error instanceof NotCalledError ? error.why : "failed";
    }
  }
}

const overloaded = async (): Promise<never> => {
  throw Object.assign(new Error("too many requests"), { overloaded: true });
};
const wrong = async (): Promise<never> => {
  throw new Error("cannot fold e1");
};
const fine = async (): Promise<true> => true;

describe("calls to an object", () => {
  test("that keeps refusing are stopped, and begin again carefully", async () => {
    const world = new World();
    const first = [];
    for (let n = 0; n < 30; n++) first.push(await world.outcome(overloaded));
    expect(first.slice(0, 9)).toEqual(Array.from({ length: 9 }, () => "failed"));
    expect(first.at(-1)).toBe("circuit open");
    expect(world.changes).toEqual(["closed → open"]);
    world.nowMs += 2_000;
    for (let n = 0; n < 10; n++) await world.outcome(fine);
    expect(world.changes).toEqual(["closed → open", "open → half_open", "half_open → closed"]);
    expect(await world.outcome(fine)).toBe("done");
  });

  test("that throws because of what it was given has answered", async () => {
    const world = new World();
    for (let n = 0; n < 50; n++) expect(await world.outcome(wrong)).toBe("failed");
    expect(world.changes).toEqual([]);
  });

  test("of one tenant say nothing about another's", async () => {
    const world = new World();
    for (let n = 0; n < 30; n++) await world.outcome(overloaded, "a");
    expect(await world.outcome(fine, "a")).toBe("circuit open");
    expect(await world.outcome(fine, "b")).toBe("done");
  });

  test("are reported when they were refused, at most once a second, with the circuit", async () => {
    const world = new World();
    for (let n = 0; n < 30; n++) await world.outcome(overloaded);
    expect(world.reports).toHaveLength(1);
    world.nowMs += 2_000;
    await world.outcome(fine);
    expect(world.reports.at(-1)).toMatchObject({ circuit: "half_open", opened: 1 });
    expect(world.reports.reduce((sum, { refusals }) => sum + refusals, 0)).toBe(10);
    expect(new World().reports).toEqual([]);
  });

  test("beyond the window wait for their turn, and come again later when there is none", async () => {
    const world = new World();
    const release: (() => void)[] = [];
    const slow = () => new Promise<void>((resolve) => release.push(resolve));
    const running = Array.from({ length: 4 }, () => world.run(slow));
    await expect.poll(() => release.length).toBe(4);
    expect(await world.outcome(slow)).toBe("busy");
    const waiting = world.run(fine);
    for (const done of release) done();
    await Promise.all([...running, waiting]);
  });
});

const message = (events: number) => ({ id: String(events), body: new Uint8Array(), events });

describe("portions", () => {
  test("hold at most 2,500 events, in order, and a larger message alone", () => {
    const sizes = portions([1_000, 1_500, 1, 9_000, 2_000, 400].map(message)).map((one) =>
      one.map(({ events }) => events),
    );
    expect(sizes).toEqual([[1_000, 1_500], [1], [9_000], [2_000, 400]]);
    expect(portions([])).toEqual([]);
  });
});
