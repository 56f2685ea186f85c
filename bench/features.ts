import { BUSY_PATTERN, OTHER_KINDS, PATTERN } from "./aggregations.ts";
import { measureEndToEnd } from "./end-to-end.ts";
import type { EndToEndResult } from "./end-to-end.ts";
import type { BenchPlatform } from "./platform.ts";

/** What the platform is given to do beside the tumbling windows, least first. */
const VARIANTS = new Map<string, (platform: BenchPlatform) => Promise<void>>([
  ["none", async () => undefined],
  ["windows", addWindows],
  ["windows and a pattern", (platform) => addWindowsAnd(PATTERN, platform)],
  ["windows and a busy pattern", (platform) => addWindowsAnd(BUSY_PATTERN, platform)],
]);

/** One variant over all rounds. */
export interface FeatureResult {
  readonly rounds: readonly EndToEndResult[];
  /** Median events/s over the median without any. */
  readonly ratio: number;
  /** Median CPU seconds per event without any, over the median with these; null where the system does not tell. */
  readonly cpuRatio: number | null;
}

/** All variants in turns, so that a machine that slows down slows each of them. */
export async function measureFeatures(events: number, count: number): Promise<Record<string, FeatureResult>> {
  const rounds = new Map(Array.from(VARIANTS.keys(), (name): [string, EndToEndResult[]] => [name, []]));
  for (let k = 0; k < count; k++) {
    for (const [name, prepare] of VARIANTS) rounds.get(name)?.push(await measureEndToEnd(events, prepare));
  }
  const without = rounds.get("none") ?? [];
  const resultOf = (own: readonly EndToEndResult[]): FeatureResult => {
    const cpuRatio = medianCpu(without) / medianCpu(own);
    return { rounds: own, ratio: medianRate(own) / medianRate(without), cpuRatio: isNaN(cpuRatio) ? null : cpuRatio };
  };
  return Object.fromEntries(Array.from(rounds, ([name, own]) => [name, resultOf(own)]));
}

const medianRate = (rounds: readonly EndToEndResult[]): number =>
  median(rounds.map(({ eventsPerSecond }) => eventsPerSecond));
const medianCpu = (rounds: readonly EndToEndResult[]): number =>
  median(rounds.map(({ workerdCpuPerMillion }) => workerdCpuPerMillion ?? NaN));

async function addWindows(platform: BenchPlatform): Promise<void> {
  for (const definition of OTHER_KINDS) await platform.json("POST", "/api/v1/aggregations", definition);
}

async function addWindowsAnd(pattern: object, platform: BenchPlatform): Promise<void> {
  await addWindows(platform);
  await platform.json("POST", "/api/v1/patterns", pattern);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
