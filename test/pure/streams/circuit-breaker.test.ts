import { describe, expect, test } from "vitest";
import { CircuitBreaker, type CircuitOptions } from "../../../core/streams/circuit-breaker.ts";
import { ClientThrottle } from "../../../core/streams/client-throttle.ts";
import { backOffMs } from "../../../core/streams/retry.ts";

describe("client throttling", () => {
  test.each([
    [100, 50, 0],
    [100, 40, 0.198],
    [100, 10, 0.7921],
    [100, 0, 0.9901],
    [0, 0, 0],
  ])("of %i requests with %i accepted has the published futility %f", (requests, accepts, futility) => {
    const throttle = new ClientThrottle(2, 1_000);
    for (let sent = 0; sent < requests; sent++) throttle.requested(5);
    for (let accepted = 0; accepted < accepts; accepted++) throttle.accepted(5);
    expect(throttle.futility(5)).toBeCloseTo(futility, 4);
  });

  test("forgets what is older than its window", () => {
    const throttle = new ClientThrottle(2, 1_000);
    for (let sent = 0; sent < 50; sent++) throttle.requested(sent * 10);
    expect(throttle.totals(499)).toEqual({ requests: 50, accepts: 0 });
    expect(throttle.totals(1_250)).toEqual({ requests: 20, accepts: 0 });
    expect(throttle.totals(5_000)).toEqual({ requests: 0, accepts: 0 });
  });
});

/** @returns the state after a hundred attempts */
const mixed = (works: (index: number) => boolean): string => {
  const { breaker } = recorded();
  for (let index = 0; index < 100; index++) attempt(breaker, 0, 1, works(index));
  return breaker.state(0);
};

/** Lets `count` attempts through at one time and fails or passes them. @returns how many were let through */
function attempt(breaker: CircuitBreaker, nowMs: number, count: number, works: boolean): number {
  let entered = 0;
  for (let tried = 0; tried < count; tried++) {
    const pass = breaker.enter(nowMs);
    if (pass === null) continue;
    entered += 1;
    if (works) breaker.succeeded(pass, nowMs);
    else breaker.failed(pass, nowMs);
  }
  return entered;
}

function recorded(options: CircuitOptions = {}, random = () => 0): { breaker: CircuitBreaker; changes: string[] } {
  const changes: string[] = [];
  const onChange: CircuitOptions["onChange"] = (from, to, nowMs) => changes.push(`${from} → ${to} at ${nowMs}`);
  return { breaker: new CircuitBreaker({ ...options, onChange }, random), changes };
}

describe("a circuit breaker", () => {
  test("opens when most attempts fail, tries again after its cooldown, and closes when that works", () => {
    const { breaker, changes } = recorded({}, () => 0.999);
    expect(attempt(breaker, 0, 50, false)).toBe(10);
    expect(breaker.enter(1_400)).toBeNull();
    expect(attempt(breaker, 1_500, 3, true)).toBe(3);
    expect(changes).toEqual(["closed → open at 0", "open → half_open at 1500", "half_open → closed at 1500"]);
    expect(breaker.opened).toBe(1);
  });

  test("stays closed while a third of the attempts succeed, and opens at a fifth", () => {
    expect(mixed((index) => index % 3 === 0)).toBe("closed");
    expect(mixed((index) => index % 5 === 0)).toBe("open");
  });

  test("never opens on fewer attempts than it needs to judge", () => {
    const { breaker } = recorded({ minAttempts: 20 });
    attempt(breaker, 0, 19, false);
    expect(breaker.state(0)).toBe("closed");
  });

  test("waits twice as long after each failed recovery, up to its longest cooldown", () => {
    const { breaker } = recorded({ cooldownMs: 100, maxCooldownMs: 300 });
    const waits: number[] = [];
    let nowMs = 0;
    attempt(breaker, nowMs, 10, false);
    for (let recovery = 0; recovery < 4; recovery++) {
      waits.push(breaker.waitMs(nowMs));
      nowMs += breaker.waitMs(nowMs);
      expect(attempt(breaker, nowMs, 1, false)).toBe(1);
    }
    expect(waits).toEqual([100, 200, 300, 300]);
  });

  test("closes only after as many successes as it needs, and begins with its first cooldown again", () => {
    const { breaker } = recorded({ cooldownMs: 100, closeAfter: 3 });
    attempt(breaker, 0, 10, false);
    attempt(breaker, 100, 1, false);
    expect(breaker.waitMs(100)).toBe(200);
    attempt(breaker, 300, 2, true);
    expect(breaker.state(300)).toBe("half_open");
    attempt(breaker, 300, 1, true);
    expect(breaker.state(300)).toBe("closed");
    attempt(breaker, 300, 10, false);
    expect(breaker.waitMs(300)).toBe(100);
  });

  test("half open lets ever fewer in while none has come back", () => {
    const { breaker } = recorded({ cooldownMs: 100 }, () => 0.6);
    attempt(breaker, 0, 10, false);
    const passes = Array.from({ length: 20 }, () => breaker.enter(1_000)).filter((pass) => pass !== null);
    // Futility is 0, then 1/2, then 2/3, which 0.6 does not pass.
    expect(passes.length).toBe(2);
  });

  test("what was sent before it opened says nothing about the recovery", () => {
    const { breaker } = recorded({ cooldownMs: 100 });
    const old = breaker.enter(0);
    attempt(breaker, 0, 10, false);
    expect(breaker.state(200)).toBe("half_open");
    if (old !== null) breaker.failed(old, 200);
    expect(breaker.state(200)).toBe("half_open");
  });

  test.each<CircuitOptions>([
    { openAt: 1 },
    { openAt: 0 },
    { cooldownMs: 0 },
    { windowMs: Number.NaN },
    { closeAfter: -1 },
  ])("%o is a RangeError", (options) => {
    expect(() => new CircuitBreaker(options, () => 0)).toThrow(RangeError);
  });
});

test("back-off doubles up to its longest and is spread from zero", () => {
  const policy = { attempts: 9, baseMs: 100, maxMs: 1_000 };
  expect([1, 2, 3, 4, 5, 60].map((attempt) => backOffMs(policy, attempt, () => 1))).toEqual([
    100, 200, 400, 800, 1_000, 1_000,
  ]);
  expect(backOffMs(policy, 3, () => 0.25)).toBe(100);
  expect(backOffMs(policy, 3, () => 0)).toBe(0);
});

test("a breaker goes on from its snapshot: open until the same moment, and longer after the next failed recovery", () => {
  const options = { minAttempts: 1, cooldownMs: 1_000, closeAfter: 1 };
  const first = new CircuitBreaker(options, () => 0);
  const pass = first.enter(0);
  if (pass !== null) first.failed(pass, 0);
  const next = new CircuitBreaker(options, () => 0, JSON.parse(JSON.stringify(first.snapshot())));
  expect([next.state(999), next.state(1_000)]).toEqual(["open", "half_open"]);
  const probe = next.enter(1_000);
  if (probe !== null) next.failed(probe, 1_000);
  expect(new CircuitBreaker(options, () => 0, next.snapshot()).waitMs(1_000)).toBe(2_000);
});
