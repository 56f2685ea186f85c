import type { EventBatch } from "../events/event-batch.ts";
import { Aggregation, type AggregationState, type LoadWindows } from "./aggregation.ts";
import { BatchView } from "./batch-view.ts";
import type { Deduplicator, DeduplicatorState, OnRemembered } from "./deduplicator.ts";
import type { Delta, DeltaHead } from "./delta.ts";
import { epochOf, type MergeAnswer, type StoredDefinition } from "./delta-terms.ts";
import { IdMemory } from "./id-memory.ts";
import type { KnownIds } from "./id-handover.ts";
import { IntakeMachine, type Offer } from "./intake-machine.ts";
import { finiteOrNull } from "./finite.ts";
import type { Plan } from "./plan.ts";
import { isMore, type ShardCursor, ShardCursors } from "./shard-cursors.ts";
import { SeenFilter } from "./seen-filter.ts";
import { type SourceMark, SourceMarks } from "./source-marks.ts";
import { type SourceState, Sources } from "./sources.ts";
import { type EventStats, StoreStats } from "./store-stats.ts";
import { nextIdleCheck, type Waiting } from "./watermark.ts";
import { byEnd, type Change, type WindowName, type WindowView } from "./window-set.ts";
import { GroupKeys } from "./group-keys.ts";

/** What a batch did to one aggregation. */
export interface Effect {
  readonly aggregation: Aggregation;
  /**
   * Windows that changed, except those that closed before and longer than allowed_lateness ago: their revisions change history only.
   * One that got events and closed may be there twice.
   */
  readonly touched: readonly WindowView[];
  /** Windows to tell the alerts of: closed before and revised, in order of end; then closed just now, in order of end. */
  readonly emitted: readonly WindowView[];
  /** Sessions that became part of others, by the names under which they were known. */
  readonly gone: readonly WindowName[];
}

/** Everything but windows and ids, as a checkpoint keeps it. */
export interface MachineState {
  readonly sources: readonly SourceState[];
  readonly deduplicator: DeduplicatorState;
  readonly aggregations: readonly AggregationState[];
  readonly stats: EventStats;
  readonly duplicates: number;
  readonly idleAsOf: number | null;
  /** Absent in states written before there were deltas. */
  readonly shards?: readonly ShardCursor[];
}

/**
 * Which events are new, and what they do to every aggregation.
 *
 * A deterministic machine: `offer`, `fold`, `merge` and `tick` with the same arguments in the same order give the same state, so
 * a checkpoint and the log behind it are enough to rebuild it. Time comes in as an argument. With one shard it takes events in and
 * counts them; with more, a shard's machine has no aggregations and takes in, while home's merges what the shards counted.
 */
export class ShardMachine {
  readonly sources: Sources;
  readonly shards: ShardCursors;
  readonly stats: StoreStats;
  readonly aggregations = new Map<string, Aggregation>();
  /** Those found here; what shards found is in `shards`. */
  duplicates: number;
  /** What else waits for a watermark: its end is worth an idle check too. */
  alsoWaiting: () => Iterable<Waiting> = () => [];
  /** Time of the last idle check that found nothing accepted and not yet applied. */
  idleAsOf: number;
  readonly #load: LoadWindows;
  readonly #intake: IntakeMachine;
  readonly #keys = new GroupKeys();

  constructor(
    state: MachineState | undefined,
    plans: readonly { id: number; plan: Plan }[],
    load: LoadWindows,
    onRemembered: OnRemembered,
    memory = new IdMemory(),
    seen = SeenFilter.givenUp(),
  ) {
    this.sources = new Sources(state?.sources);
    this.#intake = new IntakeMachine(this.sources, state?.deduplicator, onRemembered, memory, seen);
    this.shards = new ShardCursors(state?.shards);
    this.stats = new StoreStats(state?.stats);
    this.duplicates = state?.duplicates ?? 0;
    this.idleAsOf = state?.idleAsOf ?? -Infinity;
    this.#load = load;
    for (const { id, plan } of plans) {
      const known = state?.aggregations.find((saved) => saved.id === id);
      this.aggregations.set(plan.definition.name, new Aggregation(plan, known ?? this.#freshState(id, 1), load));
    }
  }

  get deduplicator(): Deduplicator {
    return this.#intake.deduplicator;
  }

  /** Duplicates of the tenant, wherever they were found. */
  get allDuplicates(): number {
    return this.duplicates + this.shards.totals.duplicates;
  }

  /** What shards count by. */
  get definitions(): readonly StoredDefinition[] {
    return [...this.aggregations.values()].map(({ id, plan }) => ({ id, definition: plan.definition }));
  }

  /** Starts an aggregation over events from now on; windows that events already fell into are partial. */
  define(id: number, version: number, plan: Plan): Aggregation {
    const aggregation = new Aggregation(plan, this.#freshState(id, version), this.#load);
    this.aggregations.set(plan.definition.name, aggregation);
    aggregation.advance(this.sources, this.idleAsOf);
    return aggregation;
  }

  /** Gives an aggregation other times; its windows and counters stay. */
  retime(known: Aggregation, plan: Plan): void {
    this.aggregations.set(plan.definition.name, new Aggregation(plan, known.toJSON(), this.#load, known.windows));
  }

  /** Decides which rows of a batch are new, and remembers those. `isPending` knows ids that wait for their look-up. */
  offer(batch: EventBatch, isPending: (id: string) => boolean): Offer {
    const offer = this.#intake.offer(batch, isPending);
    this.duplicates += offer.duplicates;
    return offer;
  }

  /** Takes over what another shard knows of the ids in some slots. @returns true when a checkpoint must replace all stored ids */
  adopt(known: KnownIds): boolean {
    // How far sources have come is told by deltas: the giver may have counted events that are not merged here, and a window must
    // not close before them.
    const sources = known.sources.map((source) =>
      this.aggregations.size === 0 ? source : { ...source, newest: null },
    );
    return this.#intake.adopt({ ...known, sources });
  }

  /** Remembers rows that a log entry says are new, on replay and after a look-up. */
  remember(batch: EventBatch): void {
    this.#intake.remember(batch);
  }

  /** Counts new events: in every aggregation, in the statistics, in the sources' marks. */
  fold(batch: EventBatch, rows: Uint32Array): Effect[] {
    if (rows.length === 0) return [];
    const view = new BatchView(batch, rows, this.#keys);
    const marks = new SourceMarks();
    marks.add(batch, rows);
    return this.#count(
      (aggregation) => aggregation.apply(view),
      () => this.stats.add(batch, rows),
      marks,
    );
  }

  /** True when this is the part of its shard's log that comes next, counted by the definitions there are. */
  awaits({ shard, incarnation, from, epoch }: DeltaHead): boolean {
    return this.shards.cursorOf(shard, incarnation) === from && epoch === epochOf(this.definitions);
  }

  /** True when a delta that is awaited tells anything that is not known. */
  brings({ shard, incarnation, from, to, totals }: DeltaHead): boolean {
    return to > from || isMore(totals, this.shards.totalsOf(shard, incarnation));
  }

  /** What a shard needs to know after its delta, merged or not. */
  answer({ shard, incarnation, epoch }: DeltaHead): MergeAnswer {
    const { definitions } = this;
    const own = epochOf(definitions);
    return {
      cursor: this.shards.cursorOf(shard, incarnation),
      totals: this.shards.totalsOf(shard, incarnation),
      epoch: own,
      definitions: epoch === own ? null : definitions,
      watermarks: [...this.aggregations.values()].map(({ id, watermark }) => [id, finiteOrNull(watermark)] as const),
    };
  }

  /**
   * Merges in what a shard counted, as if its events came in one call.
   * @throws RangeError when it does not begin where the last one of this shard ended
   */
  merge(delta: Delta): Effect[] {
    const { shard, incarnation, from } = delta;
    if (this.shards.cursorOf(shard, incarnation) !== from)
      throw new RangeError(`not the part of shard ${shard} that comes next: ${from}`);
    this.shards.advance({ ...delta.totals, shard: delta.shard, incarnation: delta.incarnation, cursor: delta.to });
    if (delta.from === delta.to) return [];
    const parts = new Map(delta.parts.map(({ aggregation, part }) => [aggregation, part]));
    return this.#count(
      (aggregation) => {
        const part = parts.get(aggregation.id);
        return part === undefined ? { touched: [], gone: [] } : aggregation.absorb(part);
      },
      () => this.stats.merge(delta.stats),
      delta.sources,
    );
  }

  /** An idle check at `nowMs` that found nothing accepted and not yet applied. */
  tick(nowMs: number): Effect[] {
    this.idleAsOf = Math.max(this.idleAsOf, nowMs);
    const effects: Effect[] = [];
    for (const aggregation of this.aggregations.values()) {
      const closed = aggregation.advance(this.sources, this.idleAsOf);
      if (closed.length > 0) effects.push({ aggregation, touched: closed, emitted: closed, gone: [] });
    }
    return effects;
  }

  /** When the next idle check could close something, epoch ms, or null. */
  nextTickAt(): number | null {
    let next: number | null = null;
    for (const { policy, watermark, closesAt } of this.#waiting()) {
      const at = nextIdleCheck(this.sources, policy, this.idleAsOf, watermark, closesAt);
      if (at !== null && (next === null || at < next)) next = at;
    }
    return next;
  }

  toJSON(): MachineState {
    return {
      sources: this.sources.toJSON(),
      deduplicator: this.deduplicator.toJSON(),
      shards: this.shards.toJSON(),
      aggregations: [...this.aggregations.values()].map((aggregation) => aggregation.toJSON()),
      stats: this.stats.toJSON(),
      duplicates: this.duplicates,
      idleAsOf: finiteOrNull(this.idleAsOf),
    };
  }

  *#waiting(): IterableIterator<Waiting> {
    for (const aggregation of this.aggregations.values()) {
      const { plan, watermark } = aggregation;
      yield { policy: plan.timing, watermark, closesAt: aggregation.earliestOpenEnd() };
    }
    yield* this.alsoWaiting();
  }

  #freshState(id: number, version: number): AggregationState {
    return {
      id,
      version,
      watermark: null,
      lateEvents: 0,
      filterErrors: 0,
      partialBefore: finiteOrNull(this.stats.newest + 1),
      duplicatesBefore: this.allDuplicates,
    };
  }

  /** Counts what came, each aggregation by the watermark from before it, and only then moves the watermarks. */
  #count(apply: (aggregation: Aggregation) => Change, addToStats: () => void, marks: Iterable<SourceMark>): Effect[] {
    const changes = [...this.aggregations.values()].map((aggregation) => ({
      aggregation,
      change: apply(aggregation),
    }));
    addToStats();
    for (const { name, newest, lastReceived } of marks) {
      const source = this.sources.of(name);
      source.newest = Math.max(source.newest, newest);
      source.lastReceived = Math.max(source.lastReceived, lastReceived);
    }
    return changes.map(({ aggregation, change }) => {
      const oldest = aggregation.watermark - aggregation.plan.timing.allowedLatenessMs;
      const isShown = ({ end, revision }: WindowView): boolean => end > oldest || revision === 0;
      const late = change.touched.filter((window) => window.closed);
      // Open windows all end after the watermark.
      const touched = late.every(isShown) ? change.touched : change.touched.filter(isShown);
      const revised = late.filter(isShown).sort(byEnd);
      const closed = aggregation.advance(this.sources, this.idleAsOf);
      return {
        aggregation,
        touched: closed.length === 0 ? touched : [...touched, ...closed],
        emitted: [...revised, ...closed],
        gone: change.gone,
      };
    });
  }
}
