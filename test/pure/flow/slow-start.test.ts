import { describe, expect, test } from "vitest";
import { createFlowController } from "../../../core/flow/index.ts";
import { freshSlowStart, slowStartStep } from "../../../core/flow/slow-start.ts";
import { Sampler } from "../../../core/flow/sampler.ts";

/** Runs rounds of twenty items, each round with its own round trip. @returns growth of the last item of each round */
function growthByRound(rttsMs: readonly number[]): { growth: number; isOver: boolean }[] {
  const state = freshSlowStart();
  const sampler = new Sampler();
  let nowMs = 0;
  return rttsMs.map((rttMs) => {
    const tokens = Array.from({ length: 20 }, () => sampler.sent(nowMs, Infinity, Infinity));
    nowMs += rttMs;
    const steps = tokens.map((token) => slowStartStep(state, sampler.acked(token, nowMs), sampler.state.sequence));
    return steps.at(-1) ?? { growth: 0, isOver: false };
  });
}

describe("slow start (HyStart++, RFC 9406 section 4.2)", () => {
  test("adds an item per ack while the round trips stay the same", () => {
    expect(growthByRound([50, 50, 51, 50]).every(({ growth }) => growth === 1)).toBe(true);
  });

  test("grows four times slower once the shortest round trip of a round is an eighth longer than of the one before", () => {
    expect(growthByRound([50, 56.2]).map(({ growth }) => growth)).toEqual([1, 1]);
    expect(growthByRound([50, 56.3]).map(({ growth }) => growth)).toEqual([1, 0.25]);
  });

  test("takes 4 ms as the smallest rise and 16 ms as the largest", () => {
    expect(growthByRound([10, 13.9]).at(-1)?.growth).toBe(1);
    expect(growthByRound([10, 14]).at(-1)?.growth).toBe(0.25);
    expect(growthByRound([400, 416]).at(-1)?.growth).toBe(0.25);
  });

  test("ends after five cautious rounds", () => {
    const steps = growthByRound([50, 60, 60, 60, 60, 60, 60]);
    expect(steps.map(({ isOver }) => isOver)).toEqual([false, false, false, false, false, false, true]);
  });

  test("goes on at full speed when the round trips become short again: it was jitter", () => {
    expect(growthByRound([50, 60, 55, 50]).map(({ growth }) => growth)).toEqual([1, 0.25, 1, 1]);
  });

  test("keeps AIMD near what the path holds, where doubling would reach 40,960", () => {
    const c = createFlowController({ algorithm: "aimd" }, 0);
    // A path of 100 items per round trip of 100 ms; more wait, and the round trip grows with them.
    let nowMs = 0;
    for (let round = 0; round < 12; round++) {
      const items = Math.floor(c.window);
      const tokens = Array.from({ length: items }, () => c.sent(nowMs));
      nowMs += Math.max(100, items);
      for (const token of tokens) c.acked(token, nowMs);
    }
    expect(c.window).toBeLessThan(600);
  });
});
