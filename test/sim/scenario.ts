import { z } from "zod";
import { ours, PEERS, type PeerName } from "./limiters.ts";
import { type Experiment, type MakeLimiter, type Result, run } from "./run.ts";

const OURS = ["aimd", "cubic", "bbr", "adaptive"] as const;
const PEER_NAMES = [
  "vector-arc",
  "envoy-gradient",
  "netflix-gradient2",
  "netflix-vegas",
  "netflix-aimd",
] as const satisfies readonly PeerName[];

const band = z.tuple([z.number(), z.number()]);
const ms = z.number().nonnegative();

const jitter = z.strictObject({
  kind: z.enum(["uniform", "exponential"]),
  part: z.number().positive(),
  inOrder: z.boolean().optional(),
});

const bottleneck = z.strictObject({
  kind: z.literal("bottleneck"),
  ratePerSecond: z.number().positive(),
  baseRttMs: ms,
  queue: z.number().int().nonnegative(),
  jitter: jitter.optional(),
  randomRefusals: z.number().min(0).max(1).optional(),
  steps: z
    .array(z.strictObject({ atMs: ms, ratePerSecond: z.number().optional(), baseRttMs: ms.optional() }))
    .optional(),
});

const service = z.strictObject({
  kind: z.literal("service"),
  delayMs: ms,
  jitter: z.number().positive().optional(),
  scale: z.number().positive().optional(),
  knee: z.strictObject({ start: z.number(), power: z.number() }).optional(),
  limit: z
    .strictObject({ of: z.enum(["inside", "per second"]), items: z.number(), action: z.enum(["refuse", "drop"]) })
    .optional(),
});

const flow = z.strictObject({
  startMs: ms,
  stopMs: ms.optional(),
  demand: z
    .union([
      z.strictObject({ kind: z.literal("greedy") }),
      z.strictObject({ kind: z.literal("steady"), perSecond: z.number().positive() }),
    ])
    .optional(),
  retryAfterMs: ms.optional(),
});

/** What must come out. Single figures are means over the seeds, in the units of `Result`. */
const expectation = z.strictObject({
  algorithms: z.array(z.enum([...OURS, ...PEER_NAMES])),
  bands: z
    .strictObject({
      utilisation: band,
      meanQueue: band,
      rejects: band,
      jain: band,
      meanWindow: band,
      largestWindow: band,
      meanInFlight: band,
      mostInFlight: band,
      throughput: band,
    })
    .partial()
    .default({}),
  /** Part of all answers that are refusals, between two times. */
  rejectsBetween: z.array(z.strictObject({ fromMs: ms, toMs: ms, accept: band })).default([]),
  /** A rate must be served over a whole second that begins within so long after a time. */
  reaches: z.array(z.strictObject({ ratePerSecond: z.number(), afterMs: ms, withinMs: ms })).default([]),
});

/** A file of `scenarios/`: what is run, with whom, and what is accepted. */
export const scenarioSchema = z.strictObject({
  title: z.string(),
  /** Where the accepted bands come from. */
  bandsFrom: z.string(),
  paths: z.array(
    z.strictObject({
      name: z.string(),
      seeds: z.array(z.number().int()).min(1),
      settings: z.discriminatedUnion("kind", [bottleneck, service]),
    }),
  ),
  flows: z.array(flow).min(1),
  durationMs: ms,
  countFromMs: ms,
  fairFromMs: ms.optional(),
  expect: z.array(expectation),
});

export type Scenario = z.infer<typeof scenarioSchema>;
export type Expectation = Scenario["expect"][number];
export type LimiterName = Expectation["algorithms"][number];

export function limiterByName(name: LimiterName): MakeLimiter {
  const own = OURS.find((algorithm) => algorithm === name);
  if (own !== undefined) return ours({ algorithm: own });
  const peer = PEER_NAMES.find((candidate) => candidate === name);
  if (peer === undefined) throw new RangeError(`no limiter ${name}`);
  return PEERS[peer];
}

/** Runs one limiter on one of a scenario's paths, once per seed. */
export function runScenario(scenario: Scenario, pathName: string, limiter: LimiterName): Result[] {
  const path = scenario.paths.find(({ name }) => name === pathName);
  if (path === undefined) throw new RangeError(`no path ${pathName}`);
  return path.seeds.map((seed) => {
    const experiment = withoutUndefined({ ...scenario, seed, path: path.settings });
    return run(experiment, limiterByName(limiter));
  });
}

/** Zod leaves optional names in with the value undefined; the simulator's types want them absent. */
function withoutUndefined(experiment: unknown): Experiment {
  return JSON.parse(JSON.stringify(experiment));
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
