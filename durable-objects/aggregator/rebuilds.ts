import type { Aggregation } from "../../core/windows/aggregation.ts";
import { type Stretch, wholeStretch } from "../../core/windows/recount.ts";
import type { Effect } from "../../core/windows/shard-machine.ts";
import { earliestOfOpen } from "../../core/windows/shape.ts";
import { isOpen, MAX_WAITING_REBUILDS, type RebuildJob, RebuildJobs, type RebuildTarget } from "./rebuild-jobs.ts";
import { beginPass, countSegment, type Pass, type PassDeps } from "./recount-pass.ts";
import type { Shard } from "./shard.ts";

/** Groups held at most by a recount before it puts in place what is final: each takes a few hundred bytes. */
const MAX_HELD_GROUPS = 50_000;
/** A single window of more groups than this cannot be recounted beside the live one. */
const MAX_WINDOW_GROUPS = 200_000;
/** Events read before what is final is put in place: a restart reads so many again. */
const EVENTS_PER_CHUNK = 500_000;
/** Pause after each segment, so that live events come first: at 2,000 events a segment takes about as long. */
const PAUSE_MS = 10;
/** While there is something to do the alarm rings this often, in case an eviction cut the work off. */
const RESUME_AFTER_MS = 5000;
/** Pause after a failure, doubled with each further one. */
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;

export interface RebuildDeps extends PassDeps {
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** All windows of an aggregation have been counted by its newest version. */
  readonly onBackfilled: (aggregation: string) => void;
  /** Within the change: live readers hear of it, rules never. */
  readonly onReplaced: (effect: Effect) => void;
  readonly report: (what: string, error: unknown) => void;
}

export type RebuildAnswer =
  | { readonly ok: true; readonly job: RebuildJob }
  | { readonly ok: false; readonly reason: "not_found" | "too_many" };

/** Counts windows again from the store, a piece at a time while live events go on, and puts the results in place. */
export class Rebuilds {
  readonly #shard: Shard;
  readonly #deps: RebuildDeps;
  readonly jobs: RebuildJobs;
  #pass: Pass | undefined;
  /** How far before its stretch the next pass must begin to read. */
  #reach: { readonly position: number; readonly ms: number } | undefined;
  #running: Promise<void> | undefined;
  #failures = 0;
  #retryAt: number | null = null;

  constructor(shard: Shard, deps: RebuildDeps) {
    this.#shard = shard;
    this.#deps = deps;
    this.jobs = new RebuildJobs(shard.tables);
  }

  /** Epoch ms, or null when nothing is to be done. */
  get dueAt(): number | null {
    if (this.jobs.first === undefined) return null;
    return Math.max(this.#deps.now() + RESUME_AFTER_MS, this.#retryAt ?? 0);
  }

  /** Asks for a stretch to be counted again, of one aggregation or of all. */
  request(stretch: Stretch, name: string | null): RebuildAnswer {
    const { aggregations } = this.#shard.machine;
    const one = name === null ? undefined : aggregations.get(name);
    if (name !== null && one === undefined) return { ok: false, reason: "not_found" };
    if (this.jobs.requested >= MAX_WAITING_REBUILDS) return { ok: false, reason: "too_many" };
    const wanted = one === undefined ? [...aggregations.values()] : [one];
    const known = this.#known(stretch);
    const targets = wanted.map((aggregation) => this.#targetOf(aggregation, known));
    return { ok: true, job: this.jobs.add("rebuild", known, targets, this.#deps.now()) };
  }

  /** An aggregation was made while events were there already: what its windows lack is to be filled in. Part of the change. */
  fill(aggregation: Aggregation, isBackfill: boolean): void {
    const { partialBefore, watermark, plan } = aggregation;
    if (partialBefore === -Infinity) return;
    const from = isBackfill ? -Infinity : earliestOfOpen(plan.shape, watermark);
    const stretch = this.#known({ from, to: partialBefore });
    const targets = [this.#targetOf(aggregation, stretch)];
    this.jobs.add(isBackfill ? "backfill" : "fill", stretch, targets, this.#deps.now());
  }

  /** True while windows of this aggregation are being filled in. */
  isFilling({ id }: Aggregation): boolean {
    return this.jobs
      .list()
      .some(
        (job) => job.kind !== "rebuild" && isOpen(job) && job.targets.some(({ aggregation }) => aggregation === id),
      );
  }

  /** Goes on with what is to be done, unless the last try failed just now. Resolves when all of it is. */
  async runIfDue(): Promise<void> {
    if (this.#retryAt !== null && this.#deps.now() < this.#retryAt) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      for (let job = this.jobs.first; job !== undefined; job = this.jobs.first) {
        const target = job.targets.find(({ position, to }) => position < to);
        const aggregation = target === undefined ? undefined : this.#find(target);
        if (target === undefined) this.#finish(job);
        else if (aggregation === undefined) this.#leave(job, target);
        else await this.#work(job, target, aggregation);
      }
      this.#failures = 0;
      this.#retryAt = null;
    } catch (error) {
      this.#drop();
      this.#retryAt = this.#deps.now() + Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++);
      const job = this.jobs.first;
      if (job !== undefined) this.jobs.note({ ...job, error: String(error) });
      this.#deps.report("rebuild", error);
    }
  }

  /** Reads some segments and does what follows from it. */
  async #work(job: RebuildJob, target: RebuildTarget, aggregation: Aggregation): Promise<void> {
    const pass = this.#passOf(job, target, aggregation) ?? (await this.#begin(job, target, aggregation));
    const { segments, frontier } = await pass.stored.next();
    for (const segment of segments) {
      this.#noteRead(job.id, countSegment(pass, segment));
      await this.#deps.sleep(PAUSE_MS);
    }
    // Meanwhile the aggregation may have been deleted or given other times.
    if (this.#find(target) === aggregation) this.#follow(pass, frontier);
    else this.#drop();
  }

  #follow(pass: Pass, frontier: number): void {
    const { recount } = pass;
    const groups = recount.groups;
    const isFull = groups > MAX_HELD_GROUPS || pass.events > EVENTS_PER_CHUNK;
    const { oldest } = this.#shard.machine.stats;
    const next = recount.next(frontier, oldest, isFull);
    switch (next.do) {
      case "read":
        return;
      case "begin anew":
        this.#drop();
        this.#reach = { position: recount.position, ms: next.reach };
        return;
      case "replace":
        this.#replace(pass, next.through);
        return;
      case "give up":
        if (groups > MAX_WINDOW_GROUPS) this.#fail(pass);
    }
  }

  async #begin(job: RebuildJob, target: RebuildTarget, aggregation: Aggregation): Promise<Pass> {
    const reach = this.#reach?.position === target.position ? this.#reach.ms : undefined;
    const pass = await beginPass(this.#shard, this.#deps, { job: job.id, target, aggregation, reach });
    this.#pass = pass;
    if (job.state === "waiting") this.jobs.save({ ...job, state: "running" });
    return pass;
  }

  #passOf(job: RebuildJob, target: RebuildTarget, aggregation: Aggregation): Pass | undefined {
    const pass = this.#pass;
    const isSame =
      pass !== undefined &&
      pass.job === job.id &&
      pass.target.aggregation === target.aggregation &&
      pass.aggregation === aggregation;
    if (!isSame) this.#drop();
    return isSame ? pass : undefined;
  }

  /** Puts in place what is final and notes how far the job is, in one change. */
  #replace(pass: Pass, through: number): void {
    const { recount, aggregation } = pass;
    const { tables } = this.#shard;
    this.#shard.checkpoint(() => {
      const job = this.jobs.get(pass.job);
      if (job === undefined) throw new Error(`rebuild ${pass.job} is gone`);
      const stored = (from: number, to: number, limit: number): number[] =>
        tables.windowKeys(aggregation.id, from, to, limit);
      const { touched, gone } = recount.replace(through, stored);
      const target = { ...pass.target, position: through };
      if (through >= target.to && target.to >= aggregation.partialBefore)
        aggregation.windows.completeFrom(target.isFromFirst === true ? -Infinity : target.from);
      this.jobs.save({
        ...job,
        targets: job.targets.map((one) => (one.aggregation === target.aggregation ? target : one)),
        windowsChanged: job.windowsChanged + touched.length,
        error: null,
      });
      this.#deps.onReplaced({ aggregation, touched, emitted: [], gone });
    });
    pass.events = 0;
    // A pass that was narrowed ends before its target does; the next one goes on from there.
    if (recount.isOver) this.#drop();
  }

  /** The aggregation was deleted, or has become another: nothing of it is left to do. */
  #leave(job: RebuildJob, gone: RebuildTarget): void {
    this.#drop();
    const targets = job.targets.filter((target) => target !== gone);
    if (targets.length === 0) this.#end(job, "cancelled");
    else this.jobs.save({ ...job, targets });
  }

  #fail({ target, job }: Pass): void {
    this.#drop();
    const failed = this.jobs.get(job);
    const error = `a window of ${target.name} has more than ${MAX_WINDOW_GROUPS} groups, too many to count again`;
    if (failed !== undefined) this.#end({ ...failed, error }, "failed");
  }

  #finish(job: RebuildJob): void {
    if (job.kind === "backfill") for (const { name } of job.targets) this.#deps.onBackfilled(name);
    this.#end(job, "done");
  }

  #end(job: RebuildJob, state: "done" | "failed" | "cancelled"): void {
    this.jobs.save({ ...job, state, finishedAt: this.#deps.now() });
  }

  #noteRead(id: number, events: number): void {
    const job = this.jobs.get(id);
    if (job !== undefined) this.jobs.note({ ...job, eventsRead: job.eventsRead + events });
  }

  #drop(): void {
    if (this.#pass !== undefined) this.#pass.aggregation.recount = undefined;
    this.#pass = undefined;
  }

  #find({ aggregation: id }: RebuildTarget): Aggregation | undefined {
    return [...this.#shard.machine.aggregations.values()].find((aggregation) => aggregation.id === id);
  }

  /** The part of a stretch for which there are events. */
  #known({ from, to }: Stretch): Stretch {
    const { oldest, newest } = this.#shard.machine.stats;
    const known = { from: Math.max(from, oldest), to: Math.min(to, newest + 1) };
    return known.from < known.to ? known : { from: Math.min(to, newest + 1), to: Math.min(to, newest + 1) };
  }

  #targetOf(aggregation: Aggregation, stretch: Stretch): RebuildTarget {
    const whole = stretch.from < stretch.to ? wholeStretch(aggregation, stretch) : stretch;
    const { id, version, plan } = aggregation;
    const isFromFirst = stretch.from <= this.#shard.machine.stats.oldest;
    return { aggregation: id, name: plan.definition.name, version, ...whole, position: whole.from, isFromFirst };
  }
}
