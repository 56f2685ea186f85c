import type { CircuitState } from "../../core/streams/circuit-breaker.ts";

/** What a shard says of itself with each report; of the time since its last one. */
export interface ShardSigns {
  /** How old the oldest message was when it arrived, ms. */
  readonly oldestAgeMs: number;
  /** Windows written to its disk: events of long ago touch windows of their own, and each is a page of the disk. */
  readonly windowsWritten: number;
  /** The longest that the store took to write segments, ms; null when it wrote none. */
  readonly storeMs: number | null;
  /** Failed tries to write since the last that succeeded. */
  readonly storeFailures: number;
  /** Open while the shard waits before it tries again, half open when its next try is due. */
  readonly storeCircuit: CircuitState;
}

/** What a consumer says of its calls to a tenant's objects; of the time since its last report. */
export interface DownstreamReport {
  /** Calls that were refused, overloaded or not answered. */
  readonly refusals: number;
  /** The longest call that was answered, ms; null without one. */
  readonly applyMs: number | null;
  readonly circuit: CircuitState;
  /** How often the circuit has opened in the consumer's life. */
  readonly opened: number;
  /** Calls that may run at once. */
  readonly window: number;
}

/** Circuits as they are shown. */
export interface CircuitFigures {
  readonly objects: CircuitState;
  readonly store: CircuitState;
}

/** What was last heard of consumers is shown for this long, ms. */
const BELIEVED_MS = 60_000;
const WORST_FIRST: readonly CircuitState[] = ["open", "half_open"];
/** Shards remembered: as many as a tenant may have. */
const MAX_SHARDS = 256;

/** What was last heard of a tenant's objects and of the store behind them. In memory only: it is of use for a minute. */
export class Downstream {
  /** Refused calls since this object began. */
  refusals = 0;
  readonly #shards = new Map<number, ShardSigns & { readonly atMs: number }>();
  #calls: (DownstreamReport & { readonly atMs: number }) | null = null;

  noteShard(shard: number, signs: ShardSigns, nowMs: number): void {
    if (this.#shards.has(shard) || this.#shards.size < MAX_SHARDS) this.#shards.set(shard, { ...signs, atMs: nowMs });
  }

  noteCalls(report: DownstreamReport, nowMs: number): void {
    this.refusals += report.refusals;
    this.#calls = { ...report, atMs: nowMs };
  }

  /** The consumer's last word; null when it is old. */
  calls(nowMs: number): DownstreamReport | null {
    return this.#calls !== null && nowMs - this.#calls.atMs <= BELIEVED_MS ? this.#calls : null;
  }

  /** The slowest shard's last write to the store, ms; null when none is known. */
  storeMs(nowMs: number): number | null {
    const known = this.#fresh(nowMs).flatMap(({ storeMs }) => (storeMs === null ? [] : [storeMs]));
    return known.length === 0 ? null : Math.max(...known);
  }

  /** A circuit that is not heard of is closed: there is nobody who would try. Of several shards the worst one is shown. */
  circuits(nowMs: number): CircuitFigures {
    const stores = new Set(this.#fresh(nowMs).map(({ storeCircuit }) => storeCircuit));
    const store = WORST_FIRST.find((state) => stores.has(state)) ?? "closed";
    return { objects: this.calls(nowMs)?.circuit ?? "closed", store };
  }

  #fresh(nowMs: number): (ShardSigns & { readonly atMs: number })[] {
    return [...this.#shards.values()].filter(({ atMs }) => nowMs - atMs <= BELIEVED_MS);
  }
}
