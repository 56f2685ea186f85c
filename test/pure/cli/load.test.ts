import { describe, expect, test } from "vitest";
import { createGenerator, createRandom } from "../../../cli/load/generator.ts";
import { formatSummary, summarize } from "../../../cli/load/summary.ts";
import { uuidv7Time } from "../../../core/events/uuid.ts";

const NOW = Date.parse("2026-11-22T05:00:00Z");

function make(seed: string, count: number) {
  const generate = createGenerator(seed, 10);
  return Array.from({ length: count }, (_, i) => generate(NOW + i));
}

describe("made-up events", () => {
  test("are the same for the same seed and others for another", () => {
    expect(make("1", 50)).toEqual(make("1", 50));
    expect(make("1", 50)).not.toEqual(make("2", 50));
  });

  test("have ids of their own, of their own time", () => {
    const events = make("1", 1_000);
    expect(new Set(events.map(({ id }) => id)).size).toBe(1_000);
    expect(events.every(({ id, timestamp }) => uuidv7Time(id) === timestamp)).toBe(true);
  });

  test("are mostly requests, by every user", () => {
    const events = make("1", 1_000);
    const requests = events.filter(({ type }) => type === "web.request").length;
    expect(requests).toBeGreaterThan(700);
    expect(requests).toBeLessThan(900);
    expect(new Set(events.map(({ user_id }) => user_id)).size).toBe(10);
  });
});

test("a seeded number is uniform over its range", () => {
  const random = createRandom("any");
  const counts = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 10_000; i++) {
    const n = random.below(10);
    counts[n] = (counts[n] ?? 0) + 1;
  }
  expect(Math.min(...counts)).toBeGreaterThan(850);
  expect(Math.max(...counts)).toBeLessThan(1_150);
});

describe("the summary of a load run", () => {
  const totals = { offered: 100, accepted: 90, rejected: 4, limited: 3, unavailable: 2, failed: 1 };

  test("has nearest-rank latencies", () => {
    const latencies = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(summarize(totals, latencies, 100, 2).latency_ms).toEqual({ p50: 50, p90: 90, p99: 99, max: 100 });
    expect(summarize(totals, latencies, 100, 2).events_per_second).toBe(45);
  });

  test("has no latencies when nothing was answered", () => {
    expect(summarize(totals, [], 1, 2).latency_ms).toBeNull();
    expect(formatSummary(summarize(totals, [], 1, 2))).not.toContain("latency");
  });
});
