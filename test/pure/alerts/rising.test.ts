import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileCondition } from "../../../core/alerts/condition.ts";
import { canOnlyRise } from "../../../core/alerts/rising.ts";
import type { RisingMeans } from "../../../core/alerts/rising.ts";

const means: RisingMeans = {
  threshold: 10,
  filter: "event.type == 'web.request'",
  measures: {
    requests: { fn: "count" },
    clients: { fn: "distinct", field: "data.client_ip" },
    per_second: { fn: "rate" },
    slowest: { fn: "max", field: "data.ms" },
    fastest: { fn: "min", field: "data.ms" },
    balance: { fn: "sum", field: "data.amount" },
    bytes: { fn: "sum", field: "data.bytes", filter: "event.data.bytes >= 0 && event.data.bytes < 1000" },
    mean: { fn: "avg", field: "data.ms" },
    p95: { fn: "quantile", field: "data.ms" },
    newest: { fn: "last", field: "data.ms" },
    hosts: { fn: "top", field: "data.host" },
  },
};

describe("a condition that can only become truer", () => {
  test.each([
    "requests > threshold",
    "requests >= 10 && group['data.status'] == 404",
    "group.type in ['a', 'b'] && group.type.startsWith('a') || clients > 3",
    "10 < requests",
    "per_second > 1.5",
    "slowest > 900",
    "fastest < 5",
    "slowest - fastest > 100",
    "bytes > 1000",
    "2 * requests > threshold + 1",
    "requests / 60 > 1",
    "requests * threshold > 100",
    "-requests < -10",
    "!(fastest > 5)",
    "window.end - window.start > 1000 && requests > 1",
    "group.type == 'a'",
  ])("%s", (condition) => expect(canOnlyRise(condition, means)).toBe(true));
});

describe("a condition that may become false again, or of which that is not known", () => {
  test.each([
    "requests < threshold",
    "requests == 10",
    "requests != 10",
    "fastest > 5",
    "balance > 10",
    "mean > 5",
    "p95 > 5",
    "newest > 5",
    "hosts[0].count > 5",
    "requests / clients > 2",
    "requests * clients > 2",
    "requests % 2 == 1",
    "requests - clients > 2",
    "requests > previous.requests",
    "requests > at('7d').requests",
    "requests > 1 && mean > 5",
    "requests > 1 || mean > 5",
    "!(requests > 1)",
    "requests > 1 ? clients > 1 : clients > 2",
    "has(previous.requests) && requests > 1",
    "[1].all(requests, requests > 0)",
    "-1 * requests > -10",
    "requests > unknown",
    "requests >",
  ])("%s", (condition) => expect(canOnlyRise(condition, means)).toBe(false));
});

/** Conditions over two measures that rise and one that falls, as text. */
const number = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom("requests", "slowest", "fastest", "threshold"),
    fc.integer({ min: -5, max: 20 }).map((n) => (n < 0 ? `(${n})` : String(n))),
    fc.tuple(tie("value"), fc.constantFrom("+", "-", "*"), tie("value")).map(([a, op, b]) => `(${a} ${op} ${b})`),
  ),
})).value;
const truth = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.tuple(number, fc.constantFrom(">", ">=", "<", "<=", "==", "!="), number).map(([a, op, b]) => `${a} ${op} ${b}`),
    fc.tuple(tie("value"), fc.constantFrom("&&", "||"), tie("value")).map(([a, op, b]) => `(${a}) ${op} (${b})`),
    tie("value").map((a) => `!(${a})`),
  ),
})).value;

test("whatever is called rising stays true once it is true, however the window grows", () => {
  let accepted = 0;
  const property = fc.property(truth, fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 8 }), (source, events) => {
    if (!canOnlyRise(source, means)) return;
    accepted++;
    const compiled = compileCondition(source, Object.keys(means.measures), means.threshold);
    if (!compiled.ok) return;
    let wasTrue = false;
    for (let seen = 0; seen <= events.length; seen++) {
      const part = events.slice(0, seen);
      // Without a number there is neither a largest nor a smallest.
      const extremes = part.length === 0 ? {} : { slowest: Math.max(...part), fastest: Math.min(...part) };
      const input = {
        group: {},
        values: { requests: seen, ...extremes },
        window: { start: 0, end: 1 },
        past: () => undefined,
      };
      const isTrue = compiled.condition.verdict(input) === "pass";
      expect(wasTrue && !isTrue, `${source} after ${JSON.stringify(part)}`).toBe(false);
      wasTrue = isTrue;
    }
  });
  fc.assert(property, { numRuns: 3_000 });
  expect(accepted).toBeGreaterThan(300);
});
