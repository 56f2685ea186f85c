import { describe, expect, test } from "vitest";
import { Aimd, AIMD_BETA, freshAimdState } from "../../../core/flow/aimd.ts";
import { createFlowController } from "../../../core/flow/index.ts";
import { Sampler } from "../../../core/flow/sampler.ts";
import { jainIndex } from "../../sim/meter.ts";
import { averageWindow } from "../../sim/periodic-loss.ts";

/** The model knows no least window. */
const LIMITS = { initialWindow: 10, minWindow: 0.01, maxWindow: 10_000 };

/** One synchronous step of the model of Chiu and Jain: a whole window is done, or one item of it refused. */
function stepper(window: number, beta: number): { aimd: Aimd; step(isOverloaded: boolean): void } {
  const aimd = new Aimd(LIMITS, { ...freshAimdState(LIMITS), window, slowStartBelow: 1 }, beta);
  const sampler = new Sampler();
  return {
    aimd,
    step(isOverloaded) {
      const tokens = Array.from({ length: Math.ceil(aimd.window) }, () => sampler.sent(0, Infinity, Infinity));
      aimd.state.credit = 0;
      for (const [index, token] of tokens.entries()) {
        if (!isOverloaded) aimd.onAck(sampler.acked(token, 0), sampler);
        else if (index === 0) aimd.onReject(sampler.rejected(token, 0), sampler);
        else sampler.ignored(token, 0);
      }
    },
  };
}

describe("AIMD", () => {
  test.for([
    { every: 100, published: 12.25 },
    { every: 1_000, published: 38.73 },
    { every: 10_000, published: 122.47 },
  ])(
    "keeps √(α(1+β)/(2(1−β)p)) = $published items on average at one refusal in $every (RFC 9438, equation 3)",
    ({ every, published }) => {
      const formula = Math.sqrt((1 * (1 + AIMD_BETA) * every) / (2 * (1 - AIMD_BETA)));
      expect(formula).toBeCloseTo(published, 2);
      const controller = createFlowController({ algorithm: "aimd", maxWindow: 10_000 }, 0);
      const average = averageWindow(controller, published, { every, refusals: 100, rttMs: 100 });
      expect(Math.abs(average / published - 1)).toBeLessThan(0.03);
    },
  );

  test.for([
    { beta: 0.5, published: 85 },
    { beta: 0.9, published: 131 },
  ])(
    "makes shares of 1 and 99 fair to 0.99 in $published synchronous steps with β = $beta (Chiu and Jain)",
    ({ beta, published }) => {
      const flows = [stepper(1, beta), stepper(99, beta)];
      const windows = () => flows.map(({ aimd }) => aimd.window);
      let steps = 0;
      while (jainIndex(windows()) < 0.99) {
        const isOverloaded = windows().reduce((sum, window) => sum + window, 0) >= 100;
        for (const flow of flows) flow.step(isOverloaded);
        steps++;
      }
      expect(steps).toBe(published);
    },
  );

  test("halves what was in flight once, however many items of one window are refused", () => {
    const c = createFlowController({ algorithm: "aimd", initialWindow: 40 }, 0);
    const tokens = Array.from({ length: 40 }, () => c.sent(0));
    for (const token of tokens) c.rejected(token, 50);
    expect(c.window).toBe(20);
  });

  test("counts the most that was in flight, not what is left when answers come in a bunch", () => {
    const c = createFlowController({ algorithm: "aimd", initialWindow: 40 }, 0);
    const tokens = Array.from({ length: 40 }, () => c.sent(0));
    const last = tokens.at(-1);
    for (const token of tokens.slice(0, -1)) c.acked(token, 50);
    const before = c.window;
    if (last !== undefined) c.rejected(last, 50);
    expect(before).toBe(79);
    expect(c.window).toBe(20);
  });

  test("adds one item per window of acks after a refusal", () => {
    const c = createFlowController({ algorithm: "aimd", initialWindow: 40 }, 0);
    const burst = Array.from({ length: 40 }, () => c.sent(0));
    for (const token of burst) c.rejected(token, 50);
    const tokens = Array.from({ length: 20 }, () => c.sent(50));
    for (const token of tokens.slice(0, 19)) c.acked(token, 100);
    expect(c.window).toBe(20);
    const last = tokens.at(-1);
    if (last !== undefined) c.acked(last, 100);
    expect(c.window).toBe(21);
  });
});
