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
  /** Its rate as a part of that of `none`: the geometric mean over the rounds. */
  readonly ratio: number;
  /** The same by CPU: what `none` needs per event as a part of what it needs; null where the system does not tell. */
  readonly cpuRatio: number | null;
}

/**
 * All variants, one after the other in each round, each in another place every time: a machine that slows down or speeds up does so for
 * each of them, and what is compared is of one round.
 */
export async function measureFeatures(events: number): Promise<Record<string, FeatureResult>> {
  const variants = [...VARIANTS];
  const rounds = new Map(variants.map(([name]): [string, EndToEndResult[]] => [name, []]));
  for (let k = 0; k < variants.length; k++) {
    for (const [name, prepare] of [...variants.slice(k), ...variants.slice(0, k)])
      rounds.get(name)?.push(await measureEndToEnd(events, prepare));
  }
  const without = rounds.get("none") ?? [];
  const resultOf = (own: readonly EndToEndResult[]): FeatureResult => {
    const cpuRatio = meanRatio(without.map(cpuOf), own.map(cpuOf));
    return {
      rounds: own,
      ratio: meanRatio(own.map(rateOf), without.map(rateOf)),
      cpuRatio: isNaN(cpuRatio) ? null : cpuRatio,
    };
  };
  return Object.fromEntries(Array.from(rounds, ([name, own]) => [name, resultOf(own)]));
}

const rateOf = ({ eventsPerSecond }: EndToEndResult): number => eventsPerSecond;
const cpuOf = ({ workerdCpuPerMillion }: EndToEndResult): number => workerdCpuPerMillion ?? NaN;

/** Geometric mean of a[k] / b[k]. */
function meanRatio(a: readonly number[], b: readonly number[]): number {
  const logs = a.map((value, k) => Math.log(value / (b[k] ?? NaN)));
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

async function addWindows(platform: BenchPlatform): Promise<void> {
  for (const definition of OTHER_KINDS) await platform.json("POST", "/api/v1/aggregations", definition);
}

async function addWindowsAnd(pattern: object, platform: BenchPlatform): Promise<void> {
  await addWindows(platform);
  await platform.json("POST", "/api/v1/patterns", pattern);
}
