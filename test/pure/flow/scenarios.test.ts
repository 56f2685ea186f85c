import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Result } from "../../sim/run.ts";
import {
  type Expectation,
  type LimiterName,
  mean,
  runScenario,
  type Scenario,
  scenarioSchema,
} from "../../sim/scenario.ts";

const FOLDER = new URL("../../sim/scenarios/", import.meta.url);

function readScenario(file: string): Scenario {
  return scenarioSchema.parse(JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")));
}

function check(results: readonly Result[], expectation: Expectation): void {
  for (const [name, accepted] of Object.entries(expectation.bands)) {
    if (accepted === undefined) continue;
    const values = results.map((result) => Object.entries(result).find(([key]) => key === name)?.[1]);
    expectWithin(mean(values.map(Number)), accepted, `${name}, seed by seed ${values.join(", ")}`);
  }
  for (const { fromMs, toMs, accept } of expectation.rejectsBetween) {
    const values = results.map(({ meter }) => meter.rejectsBetween(fromMs, toMs));
    expectWithin(mean(values), accept, `rejects from ${fromMs} to ${toMs} ms, seed by seed ${values.join(", ")}`);
  }
  for (const { ratePerSecond, afterMs, withinMs } of expectation.reaches) {
    const values = results.map(({ meter }) => meter.reaches(ratePerSecond, afterMs));
    expectWithin(Math.max(...values), [0, withinMs], `ms to ${ratePerSecond}/s after ${afterMs} ms`);
  }
}

function expectWithin(value: number, [least, most]: readonly [number, number], label: string): void {
  expect(value, label).toBeGreaterThanOrEqual(least);
  expect(value, label).toBeLessThanOrEqual(most);
}

describe.for(readdirSync(FOLDER))("%s", (file) => {
  const scenario = readScenario(file);
  const limiters = [...new Set(scenario.expect.flatMap(({ algorithms }) => algorithms))];
  const cases = scenario.paths.flatMap(({ name, seeds }) =>
    limiters.map((limiter) => ({ path: name, seeds: seeds.join(", "), limiter })),
  );

  test.for(cases)(`${scenario.title}: $limiter, $path, seeds $seeds`, ({ path, limiter }) => {
    const results = runScenario(scenario, path, limiter);
    for (const expectation of expectationsFor(scenario, limiter)) check(results, expectation);
  });
});

function expectationsFor(scenario: Scenario, limiter: LimiterName): Expectation[] {
  return scenario.expect.filter(({ algorithms }) => algorithms.includes(limiter));
}
