import { Agenda } from "./agenda.ts";
import { Bottleneck, type BottleneckSettings } from "./bottleneck.ts";
import type { Limiter } from "./limiter.ts";
import { jainIndex, Meter } from "./meter.ts";
import type { Path } from "./path.ts";
import { seededRandom } from "./random.ts";
import { type Demand, Sender, type SenderSettings } from "./sender.ts";
import { Service, type ServiceSettings } from "./service.ts";

/** One experiment: flows with limiters that share a path. Times in ms of simulated time, from 0. */
export interface Experiment {
  readonly seed: number;
  readonly path: BottleneckSettings | ServiceSettings;
  readonly flows: readonly FlowSettings[];
  readonly durationMs: number;
  /** What happens before is not counted. */
  readonly countFromMs: number;
  /** Fairness is judged from here on; by default over what is counted. */
  readonly fairFromMs?: number;
}

export interface FlowSettings {
  readonly startMs: number;
  readonly stopMs?: number;
  readonly demand?: Demand;
  readonly retryAfterMs?: number;
}

/** What came out, over the counted span. */
export interface Result {
  /** Items served / items that could have been served; of a service without a rate the items served per second. */
  readonly utilisation: number;
  readonly meanQueue: number;
  readonly longestQueue: number;
  /** Refused or lost / all answers, 0 to 1. */
  readonly rejects: number;
  readonly jain: number;
  /** Over time, of the first flow. */
  readonly meanWindow: number;
  readonly largestWindow: number;
  readonly meanInFlight: number;
  readonly mostInFlight: number;
  /** Items done per second. */
  readonly throughput: number;
  readonly meter: Meter;
}

/** Makes a flow's limiter; the random numbers are the limiter's own. */
export type MakeLimiter = (flow: number, nowMs: number, random: () => number) => Limiter;

/** Runs one experiment from its seed; the same experiment gives the same result. */
export function run(experiment: Experiment, makeLimiter: MakeLimiter): Result {
  const agenda = new Agenda();
  const span = { fromMs: experiment.countFromMs, toMs: experiment.durationMs };
  const meter = new Meter(span.fromMs, span.toMs);
  const surroundings = { agenda, meter, span, fairFromMs: experiment.fairFromMs ?? span.fromMs };
  const path = makePath(experiment, agenda, meter);
  const senders = experiment.flows.map((flow, index) => {
    const random = seededRandom(experiment.seed * 1_000 + index + 1);
    const limiter = makeLimiter(index, flow.startMs, random);
    const settings: SenderSettings = { demand: { kind: "greedy" }, ...flow };
    return new Sender(settings, limiter, path, surroundings);
  });
  agenda.runUntil(experiment.durationMs);
  return summarize(experiment, senders, meter);
}

function makePath(experiment: Experiment, agenda: Agenda, meter: Meter): Path {
  const random = seededRandom(experiment.seed * 1_000);
  const { path } = experiment;
  if (path.kind === "bottleneck") return new Bottleneck(path, agenda, meter, random);
  return new Service(path, agenda, meter, random);
}

function summarize(experiment: Experiment, senders: readonly Sender[], meter: Meter): Result {
  const { countFromMs, durationMs } = experiment;
  const first = senders[0];
  return {
    utilisation: meter.servedInSpan / capacity(experiment, countFromMs, durationMs),
    meanQueue: meter.meanQueue(),
    longestQueue: meter.longestQueue,
    rejects: meter.rejectsBetween(countFromMs, durationMs),
    jain: jainIndex(senders.map((sender) => sender.doneFairly)),
    meanWindow: first?.windowMean.mean ?? 0,
    largestWindow: first?.largestWindow ?? 0,
    meanInFlight: first?.inFlightMean.mean ?? 0,
    mostInFlight: first?.mostInFlight ?? 0,
    throughput: (meter.servedInSpan * 1_000) / (durationMs - countFromMs),
    meter,
  };
}

/** Items the path could serve between two times. */
export function capacity({ path }: Experiment, fromMs: number, toMs: number): number {
  if (path.kind === "service") return (toMs - fromMs) / 1_000;
  let items = 0;
  let { ratePerSecond } = path;
  let sinceMs = fromMs;
  for (const step of [...(path.steps ?? []), { atMs: toMs }]) {
    const untilMs = Math.min(toMs, Math.max(fromMs, step.atMs));
    items += ((untilMs - sinceMs) / 1_000) * ratePerSecond;
    sinceMs = untilMs;
    ratePerSecond = step.ratePerSecond ?? ratePerSecond;
  }
  return items;
}
