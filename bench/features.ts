import { BUSY_PATTERN, OTHER_KINDS, PATTERN } from "./aggregations.ts";
import { measureEndToEnd } from "./end-to-end.ts";
import type { EndToEndResult } from "./end-to-end.ts";
import type { BenchPlatform } from "./platform.ts";

/** What the platform is given to do beside the tumbling windows, least first. */
const VARIANTS = {
  none: async () => undefined,
  windows: addWindows,
  "windows and a pattern": async (platform) => {
    await addWindows(platform);
    await platform.json("POST", "/api/v1/patterns", PATTERN);
  },
  "windows and a busy pattern": async (platform) => {
    await addWindows(platform);
    await platform.json("POST", "/api/v1/patterns", BUSY_PATTERN);
  },
} satisfies Record<string, (platform: BenchPlatform) => Promise<void>>;

type Variant = keyof typeof VARIANTS;
const NAMES: readonly Variant[] = ["none", "windows", "windows and a pattern", "windows and a busy pattern"];

/** One variant over all rounds. */
export interface FeatureResult {
  readonly rounds: readonly EndToEndResult[];
  /** Median events/s over the median without any. */
  readonly ratio: number;
  /** Median CPU seconds per event without any, over the median with these; null where the system does not tell. */
  readonly cpuRatio: number | null;
}

/** All variants in turns, so that a machine that slows down slows each of them. */
export async function measureFeatures(events: number, count: number): Promise<Record<Variant, FeatureResult>> {
  const rounds = byVariant((): EndToEndResult[] => []);
  for (let k = 0; k < count; k++) {
    for (const variant of NAMES) rounds[variant].push(await measureEndToEnd(events, VARIANTS[variant]));
  }
  const resultOf = (variant: Variant): FeatureResult => {
    const [rate, cpu] = [medianRate, medianCpu].map((median) => median(rounds[variant]) / median(rounds.none));
    return { rounds: rounds[variant], ratio: rate ?? NaN, cpuRatio: cpu === undefined || isNaN(cpu) ? null : 1 / cpu };
  };
  return byVariant(resultOf);
}

function byVariant<Value>(valueOf: (variant: Variant) => Value): Record<Variant, Value> {
  return {
    none: valueOf("none"),
    windows: valueOf("windows"),
    "windows and a pattern": valueOf("windows and a pattern"),
    "windows and a busy pattern": valueOf("windows and a busy pattern"),
  };
}

const medianRate = (rounds: readonly EndToEndResult[]): number =>
  median(rounds.map(({ eventsPerSecond }) => eventsPerSecond));
const medianCpu = (rounds: readonly EndToEndResult[]): number =>
  median(rounds.map(({ workerdCpuPerMillion }) => workerdCpuPerMillion ?? NaN));

async function addWindows(platform: BenchPlatform): Promise<void> {
  for (const definition of OTHER_KINDS) await platform.json("POST", "/api/v1/aggregations", definition);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
