import type { EventBatch } from "../events/event-batch.ts";
import { Aggregation, type AggregationState, type LoadWindow } from "./aggregation.ts";
import { BatchView } from "./batch-view.ts";
import { type Candidate, Deduplicator, type DeduplicatorState } from "./deduplicator.ts";
import { FINGERPRINT_WORDS, fingerprint } from "./fingerprint.ts";
import { type IdGroup, IdMemory } from "./id-memory.ts";
import { finiteOrNull } from "./finite.ts";
import type { Plan } from "./plan.ts";
import { type Source, type SourceState, Sources } from "./sources.ts";
import { type EventStats, StoreStats } from "./store-stats.ts";
import { nextIdleCheck } from "./watermark.ts";
import { byEnd, type WindowName, type WindowView } from "./window-set.ts";

/** What a batch did to one aggregation. */
export interface Effect {
  readonly aggregation: Aggregation;
  /** Windows that changed, except those that closed before and longer than allowed_lateness ago: their revisions change history only. */
  readonly touched: ReadonlySet<WindowView>;
  /** Windows to tell the alerts of: closed before and revised, in order of end; then closed just now, in order of end. */
  readonly emitted: readonly WindowView[];
  /** Sessions that became part of others, by the names under which they were known. */
  readonly gone: readonly WindowName[];
}

export interface Offer {
  /** Rows stored and counted from now on. */
  readonly fresh: Uint32Array;
  /** Rows whose ids must be looked up in the store before anything else is done with them. */
  readonly unknown: Uint32Array;
  readonly duplicates: number;
}

/** Everything but windows and ids, as a checkpoint keeps it. */
export interface MachineState {
  readonly sources: readonly SourceState[];
  readonly deduplicator: DeduplicatorState;
  readonly aggregations: readonly AggregationState[];
  readonly stats: EventStats;
  readonly duplicates: number;
  readonly idleAsOf: number | null;
}

/** Called with each newly remembered id whose group is within the horizon, so that a checkpoint can hold it. */
export type OnRemembered = (words: Uint32Array, at: number, group: IdGroup) => void;

/**
 * One shard of a tenant: which events are new, and what they do to every aggregation.
 *
 * A deterministic machine: `offer`, `fold` and `tick` with the same arguments in the same order give the same state, so a
 * checkpoint and the log behind it are enough to rebuild it. Time comes in as an argument.
 */
export class ShardMachine {
  readonly sources: Sources;
  readonly deduplicator: Deduplicator;
  readonly stats: StoreStats;
  readonly aggregations = new Map<string, Aggregation>();
  duplicates: number;
  /** Time of the last idle check that found nothing accepted and not yet applied. */
  idleAsOf: number;
  readonly #load: LoadWindow;
  readonly #onRemembered: OnRemembered;

  constructor(
    state: MachineState | undefined,
    plans: readonly { id: number; plan: Plan }[],
    load: LoadWindow,
    onRemembered: OnRemembered,
    memory = new IdMemory(),
  ) {
    this.sources = new Sources(state?.sources);
    this.deduplicator = new Deduplicator(this.sources, state?.deduplicator, memory);
    this.stats = new StoreStats(state?.stats);
    this.duplicates = state?.duplicates ?? 0;
    this.idleAsOf = state?.idleAsOf ?? -Infinity;
    this.#load = load;
    this.#onRemembered = onRemembered;
    for (const { id, plan } of plans) {
      const known = state?.aggregations.find((saved) => saved.id === id);
      this.aggregations.set(plan.definition.name, new Aggregation(plan, known ?? this.#freshState(id, 1), load));
    }
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
    const candidates = new RowCandidates(batch, this.sources);
    const words = new Uint32Array(FINGERPRINT_WORDS);
    const fresh = new Uint32Array(batch.length);
    const unknown: number[] = [];
    const unknownIds = new Set<string>();
    let freshCount = 0;
    for (let row = 0; row < batch.length; row++) {
      const id = batch.ids[row] ?? "";
      fingerprint(id, words, 0);
      const candidate = candidates.at(row);
      const verdict = this.deduplicator.judge(words, 0, candidate);
      if (verdict === "new") {
        this.#remember(words, candidate);
        fresh[freshCount++] = row;
      } else if (verdict === "unknown" && !unknownIds.has(id) && !isPending(id)) {
        unknownIds.add(id);
        unknown.push(row);
      }
    }
    const duplicates = batch.length - freshCount - unknown.length;
    this.duplicates += duplicates;
    return { fresh: fresh.subarray(0, freshCount), unknown: Uint32Array.from(unknown), duplicates };
  }

  /** Remembers rows that a log entry says are new, on replay and after a look-up. */
  remember(batch: EventBatch): void {
    const candidates = new RowCandidates(batch, this.sources);
    const words = new Uint32Array(FINGERPRINT_WORDS);
    for (let row = 0; row < batch.length; row++) {
      fingerprint(batch.ids[row] ?? "", words, 0);
      if (!this.deduplicator.memory.has(words, 0)) this.#remember(words, candidates.at(row));
    }
  }

  /** Counts new events: in every aggregation, in the statistics, in the sources' marks. */
  fold(batch: EventBatch, rows: Uint32Array): Effect[] {
    if (rows.length === 0) return [];
    const view = new BatchView(batch, rows);
    const effects = [...this.aggregations.values()].map((aggregation) => ({
      aggregation,
      change: aggregation.apply(view),
    }));
    this.stats.add(batch, rows);
    this.#noteSources(batch, rows);
    return effects.map(({ aggregation, change }) => {
      const oldest = aggregation.watermark - aggregation.plan.timing.allowedLatenessMs;
      const touched = change.touched.filter(({ end, revision }) => end > oldest || revision === 0);
      const revised = touched.filter((window) => window.closed).sort(byEnd);
      const closed = aggregation.advance(this.sources, this.idleAsOf);
      return {
        aggregation,
        touched: new Set([...touched, ...closed]),
        emitted: [...revised, ...closed],
        gone: change.gone,
      };
    });
  }

  /** An idle check at `nowMs` that found nothing accepted and not yet applied. */
  tick(nowMs: number): Effect[] {
    this.idleAsOf = Math.max(this.idleAsOf, nowMs);
    const effects: Effect[] = [];
    for (const aggregation of this.aggregations.values()) {
      const closed = aggregation.advance(this.sources, this.idleAsOf);
      if (closed.length > 0) effects.push({ aggregation, touched: new Set(closed), emitted: closed, gone: [] });
    }
    return effects;
  }

  /** When the next idle check could close something, epoch ms, or null. */
  nextTickAt(): number | null {
    let next: number | null = null;
    for (const { plan, watermark, ...rest } of this.#waiting()) {
      const at = nextIdleCheck(this.sources, plan.timing, this.idleAsOf, watermark, rest.closesAt);
      if (at !== null && (next === null || at < next)) next = at;
    }
    return next;
  }

  toJSON(): MachineState {
    return {
      sources: this.sources.toJSON(),
      deduplicator: this.deduplicator.toJSON(),
      aggregations: [...this.aggregations.values()].map((aggregation) => aggregation.toJSON()),
      stats: this.stats.toJSON(),
      duplicates: this.duplicates,
      idleAsOf: finiteOrNull(this.idleAsOf),
    };
  }

  *#waiting(): IterableIterator<{ plan: Plan; watermark: number; closesAt: number | null }> {
    for (const aggregation of this.aggregations.values()) {
      yield { plan: aggregation.plan, watermark: aggregation.watermark, closesAt: aggregation.earliestOpenEnd() };
    }
  }

  #freshState(id: number, version: number): AggregationState {
    let newest: number | null = null;
    for (const source of this.sources)
      if (source.newest !== -Infinity) newest = Math.max(newest ?? -Infinity, source.newest);
    return {
      id,
      version,
      watermark: null,
      lateEvents: 0,
      filterErrors: 0,
      partialBefore: newest === null ? null : newest + 1,
      duplicatesBefore: this.duplicates,
    };
  }

  #remember(words: Uint32Array, candidate: Candidate): void {
    const group = this.deduplicator.remember(words, 0, candidate);
    if (group !== undefined && this.deduplicator.isWithinHorizon(group)) this.#onRemembered(words, 0, group);
  }

  #noteSources(batch: EventBatch, rows: Uint32Array): void {
    const { values, index } = batch.column(["source"]);
    const sources = values.map((value) => this.sources.of(String(value)));
    for (const row of rows) {
      const source = sources[index[row] ?? 0];
      const receivedAt = batch.receivedAt[row] ?? 0;
      if (source === undefined) continue;
      source.newest = Math.max(source.newest, Math.min(batch.timestamps[row] ?? 0, receivedAt));
      source.lastReceived = Math.max(source.lastReceived, receivedAt);
    }
  }
}

/** Rows of a batch as the deduplicator wants them: the source looked up once per distinct name. */
class RowCandidates {
  readonly #batch: EventBatch;
  readonly #sources: readonly Source[];
  readonly #index: Uint32Array;

  constructor(batch: EventBatch, sources: Sources) {
    const column = batch.column(["source"]);
    this.#batch = batch;
    this.#index = column.index;
    this.#sources = column.values.map((value) => sources.of(String(value)));
  }

  at(row: number): Candidate {
    const source = this.#sources[this.#index[row] ?? 0];
    if (source === undefined) throw new RangeError(`row ${row} has no source`);
    return {
      source,
      timestamp: this.#batch.timestamps[row] ?? 0,
      receivedAt: this.#batch.receivedAt[row] ?? 0,
      timestampAssigned: this.#batch.isTimestampAssigned(row),
    };
  }
}
