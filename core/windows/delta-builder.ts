import { ColumnarBuilder, type EventBatch } from "../events/event-batch.ts";
import { OverviewMeter } from "../live/overview-meter.ts";
import { type Aggregation, partialAggregation } from "./aggregation.ts";
import { BatchView } from "./batch-view.ts";
import type { Delta, DeltaHead } from "./delta.ts";
import type { DeltaTerms } from "./delta-terms.ts";
import { SourceMarks } from "./source-marks.ts";
import { StoreStats } from "./store-stats.ts";
import { GroupKeys } from "./group-keys.ts";

/** A delta is full at this many events … */
export const MAX_DELTA_EVENTS = 20_000;
/** … or when its states take this much memory, roughly; encoded they take a quarter. */
const MAX_DELTA_STATE_BYTES = 4_000_000;
/** States are weighed when the events reach this number, and each time they have doubled: weighing looks at each of them. */
const FIRST_WEIGHING = 256;
/** Of the latest events, what live readers are shown at most … */
const LATEST_EVENTS = 50;
/** … and the text they may take. */
const MAX_LATEST_CHARS = 64_000;

interface LatestRow {
  readonly batch: EventBatch;
  readonly row: number;
}

/** Counts events apart, for a delta. */
export class DeltaBuilder {
  readonly terms: DeltaTerms;
  /** Sequence number of its first event. */
  readonly from: number;
  readonly #aggregations: readonly Aggregation[];
  readonly #stats = new StoreStats(undefined, Infinity);
  readonly #marks = new SourceMarks();
  readonly #keys = new GroupKeys();
  readonly #meter = new OverviewMeter();
  #latest: readonly LatestRow[] = [];
  #weighNextAt = FIRST_WEIGHING;
  #isHeavy = false;

  constructor(terms: DeltaTerms, from: number) {
    this.terms = terms;
    this.from = from;
    this.#aggregations = terms.plans.map(({ id, plan }) =>
      partialAggregation(id, plan, terms.watermarks.get(id) ?? -Infinity),
    );
  }

  /** Sequence number after its last event. */
  get to(): number {
    return this.from + this.#stats.total;
  }

  get isFull(): boolean {
    return this.#isHeavy || this.#stats.total >= MAX_DELTA_EVENTS;
  }

  /** Counts rows that follow what was counted before. */
  add(batch: EventBatch, rows: Uint32Array): void {
    if (rows.length === 0) return;
    const view = new BatchView(batch, rows, this.#keys);
    for (const aggregation of this.#aggregations) aggregation.apply(view);
    this.#stats.add(batch, rows);
    this.#marks.add(batch, rows);
    this.#meter.add(batch, rows);
    const last = [...rows.subarray(-LATEST_EVENTS)].map((row) => ({ batch, row }));
    this.#latest = [...this.#latest, ...last].slice(-LATEST_EVENTS);
    if (this.#stats.total >= this.#weighNextAt) this.#weigh();
  }

  /** Everything counted so far. */
  delta({ shard, incarnation, totals }: Pick<DeltaHead, "shard" | "incarnation" | "totals">): Delta {
    return {
      shard,
      incarnation,
      from: this.from,
      to: this.to,
      epoch: this.terms.epoch,
      totals,
      stats: this.#stats.toJSON(),
      sources: [...this.#marks],
      overview: this.#meter.counts(),
      latest: latestText(this.#latest),
      parts: this.#aggregations
        .map((aggregation) => ({ aggregation: aggregation.id, part: aggregation.toPart() }))
        .filter(() => this.to > this.from),
    };
  }

  #weigh(): void {
    let bytes = 0;
    for (const aggregation of this.#aggregations) {
      for (const { group } of aggregation.toPart().fragments)
        for (const accumulator of group.accumulators) bytes += accumulator.retainedBytes();
    }
    this.#isHeavy = bytes >= MAX_DELTA_STATE_BYTES;
    this.#weighNextAt = this.#stats.total * 2;
  }
}

/** The newest events that fit, as columnar text. */
function latestText(latest: readonly LatestRow[]): string {
  for (let count = latest.length; count > 0; count = Math.floor(count / 2)) {
    const builder = new ColumnarBuilder();
    for (const { batch, row } of latest.slice(-count)) builder.add(batch.event(row));
    const text = builder.toText();
    if (text.length <= MAX_LATEST_CHARS) return text;
  }
  return "";
}
