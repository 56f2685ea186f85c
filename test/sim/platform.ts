import { CapacityLedger } from "../../core/flow/capacity.ts";
import type { FlowAlgorithm } from "../../core/flow/index.ts";
import { Pace } from "../../core/flow/pace.ts";
import { TenantFlow } from "../../core/flow/tenant-flow.ts";
import { REPORT_AT_EVENTS } from "../../workers/ingest/tenant-quota.ts";
import { seededRandom } from "./random.ts";

/** A platform in simulated time: tenants send at rates through isolates into one queue, and one consumer serves it in order. */
export interface PlatformExperiment {
  readonly seed: number;
  readonly durationMs: number;
  /** Events per second that the consumer applies at a time. */
  readonly capacity: (atMs: number) => number;
  readonly tenants: readonly SimTenant[];
  readonly algorithm?: FlowAlgorithm;
  /** What a message takes to reach the consumer without a queue, ms. */
  readonly queueDelayMs?: number;
  /** False: tenants do not hear of their shares. */
  readonly isShared?: boolean;
}

export interface SimTenant {
  /** Events per second offered at a time. */
  readonly offers: (atMs: number) => number;
  readonly weight?: number;
  readonly batch?: number;
  readonly isolates?: number;
}

/** What became of one tenant's events, by 100 ms. */
export interface SimOutcome {
  readonly slices: { offered: number; admitted: number; refused: number; applied: number; oldestAgeMs: number }[];
}

interface Message {
  readonly tenant: number;
  readonly events: number;
  readonly atMs: number;
}

const SLICE_MS = 100;
const STEP_MS = 1;
const MESSAGES_PER_BATCH = 50;
const MESSAGES_PER_CALL = 5;
/** As durable-objects/aggregator/progress.ts has it. */
const TELL_AT_EVENTS = 5_000;
const TELL_AT_AGE_MS = 100;
const TELL_EVERY_MS = 1_000;
const TELL_SOON_MS = 100;
/** One report takes this long to be answered, ms. */
const CALL_MS = 5;

/** Runs it. */
export function runPlatform(experiment: PlatformExperiment): SimOutcome[] {
  const random = seededRandom(experiment.seed);
  const queue: Message[] = [];
  const shared = new CapacityLedger();
  const slices = Math.ceil(experiment.durationMs / SLICE_MS);
  const tenants = experiment.tenants.map((settings, index) => new Tenant(settings, index, experiment, random, slices));
  const delayMs = experiment.queueDelayMs ?? 0;
  let busyUntilMs = 0;
  let batch: Message[] = [];
  let chunk: Message[] = [];
  for (let nowMs = 0; nowMs < experiment.durationMs; nowMs += STEP_MS) {
    for (const tenant of tenants) {
      tenant.send(nowMs, queue);
      tenant.report(nowMs);
      const wanted = experiment.isShared === false ? null : tenant.flow.takeCapacityReport(tenant.weight, nowMs);
      if (wanted !== null) tenant.flow.shared(shared.report(String(tenant.index), wanted, nowMs), nowMs);
    }
    if (nowMs < busyUntilMs) continue;
    for (const { tenant, events } of chunk) tenants[tenant]?.apply(events, nowMs);
    if (batch.length === 0) batch = queue.splice(0, Math.min(MESSAGES_PER_BATCH, arrived(queue, nowMs - delayMs)));
    chunk = batch.splice(0, MESSAGES_PER_CALL);
    for (const { tenant, atMs } of chunk) tenants[tenant]?.arrive(nowMs - atMs, nowMs);
    const events = chunk.reduce((sum, one) => sum + one.events, 0);
    busyUntilMs = Math.max(busyUntilMs, nowMs - STEP_MS) + (events * 1_000) / experiment.capacity(nowMs);
  }
  return tenants.map(({ outcome }) => outcome);
}

/** Messages sent up to a time. */
function arrived(queue: readonly Message[], sentUpToMs: number): number {
  const later = queue.findIndex(({ atMs }) => atMs > sentUpToMs);
  return later === -1 ? queue.length : later;
}

interface Isolate {
  readonly name: string;
  readonly pace: Pace;
  events: number;
  admitted: number;
  refused: number;
  reportedAtMs: number;
  everyMs: number;
}

class Tenant {
  readonly flow: TenantFlow;
  readonly outcome: SimOutcome;
  readonly weight: number;
  readonly index: number;
  readonly #settings: SimTenant;
  readonly #random: () => number;
  readonly #isolates: Isolate[];
  #due = 0;
  #applied = 0;
  #oldestAgeMs = 0;
  #toldAtMs = 0;

  constructor(
    settings: SimTenant,
    index: number,
    experiment: PlatformExperiment,
    random: () => number,
    slices: number,
  ) {
    this.#settings = settings;
    this.#random = random;
    this.index = index;
    this.weight = settings.weight ?? 1;
    this.flow = new TenantFlow(experiment.algorithm ?? "adaptive", 0, random);
    this.outcome = {
      slices: Array.from({ length: slices }, () => ({
        offered: 0,
        admitted: 0,
        refused: 0,
        applied: 0,
        oldestAgeMs: 0,
      })),
    };
    this.#isolates = Array.from({ length: settings.isolates ?? 1 }, (_, k) => ({
      name: String(k),
      pace: new Pace(),
      events: 0,
      admitted: 0,
      refused: 0,
      reportedAtMs: 0,
      everyMs: TELL_EVERY_MS,
    }));
  }

  /** Requests come at random times, at the rate offered. */
  send(nowMs: number, queue: Message[]): void {
    const batch = this.#settings.batch ?? 500;
    this.#due += (this.#settings.offers(nowMs) * STEP_MS) / 1_000 / batch;
    while (this.#due > this.#random()) {
      this.#due -= 1;
      const isolate = this.#isolates[Math.floor(this.#random() * this.#isolates.length)];
      const slice = this.outcome.slices[Math.floor(nowMs / SLICE_MS)];
      if (isolate === undefined || slice === undefined) return;
      slice.offered += batch;
      if (isolate.pace.enter(nowMs)) {
        isolate.pace.settle(batch);
        isolate.events += batch;
        isolate.admitted++;
        slice.admitted += batch;
        queue.push({ tenant: this.index, events: batch, atMs: nowMs });
      } else {
        isolate.refused++;
        slice.refused += batch;
      }
    }
  }

  report(nowMs: number): void {
    for (const isolate of this.#isolates) {
      const isDue = nowMs - isolate.reportedAtMs >= isolate.everyMs || isolate.events >= REPORT_AT_EVENTS;
      if (!isDue || nowMs - isolate.reportedAtMs < CALL_MS || isolate.events + isolate.refused === 0) continue;
      const { ratePerSecond, reportEveryMs } = this.flow.report(
        { isolate: isolate.name, events: isolate.events, admitted: isolate.admitted, refused: isolate.refused },
        nowMs,
      );
      isolate.pace.set(ratePerSecond, nowMs);
      isolate.everyMs = reportEveryMs;
      isolate.events = 0;
      isolate.refused = 0;
      isolate.admitted = 0;
      isolate.reportedAtMs = nowMs;
    }
  }

  arrive(ageMs: number, nowMs: number): void {
    this.#oldestAgeMs = Math.max(this.#oldestAgeMs, ageMs);
    const slice = this.outcome.slices[Math.floor(nowMs / SLICE_MS)];
    if (slice !== undefined) slice.oldestAgeMs = Math.max(slice.oldestAgeMs, ageMs);
  }

  apply(events: number, nowMs: number): void {
    this.#applied += events;
    const slice = this.outcome.slices[Math.floor(nowMs / SLICE_MS)];
    if (slice !== undefined) slice.applied += events;
    const isSoon = this.#applied >= TELL_AT_EVENTS || this.#oldestAgeMs >= TELL_AT_AGE_MS;
    if (nowMs - this.#toldAtMs < (isSoon ? TELL_SOON_MS : TELL_EVERY_MS)) return;
    this.flow.admission.applied(this.#applied, this.#oldestAgeMs, nowMs);
    this.#applied = 0;
    this.#oldestAgeMs = 0;
    this.#toldAtMs = nowMs;
  }
}

/** Sums of a tenant's slices within [fromMs, toMs), events per second, and the oldest age, ms. */
export function over({ slices }: SimOutcome, fromMs: number, toMs: number) {
  const own = slices.slice(fromMs / SLICE_MS, toMs / SLICE_MS);
  const seconds = (toMs - fromMs) / 1_000;
  const sum = (name: "offered" | "admitted" | "refused" | "applied"): number =>
    own.reduce((total, slice) => total + slice[name], 0) / seconds;
  const ages = own.map(({ oldestAgeMs }) => oldestAgeMs).toSorted((a, b) => a - b);
  return {
    offered: sum("offered"),
    admitted: sum("admitted"),
    refused: sum("refused"),
    applied: sum("applied"),
    oldestAgeMs: ages.at(-1) ?? 0,
    medianAgeMs: ages[ages.length >> 1] ?? 0,
  };
}
