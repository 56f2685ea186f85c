import type { StreamEvent } from "../../../core/events/event.ts";

const IDLE_TIMEOUT_MS = 30_000;

/** Watermarks worked out from all that ever came, after each entry of a log, by nothing that the product has. */
export class PlainWatermarks {
  /** By aggregation. */
  watermarks: ReadonlyMap<string, number>;
  readonly #aggregations: readonly { readonly name: string; readonly outOfOrdernessMs: number }[];
  readonly #events: StreamEvent[] = [];
  /** When silence was last found to be the sources' own. */
  #silentAt = -Infinity;

  constructor(aggregations: readonly { readonly name: string; readonly outOfOrdernessMs: number }[]) {
    this.#aggregations = aggregations;
    this.watermarks = new Map(aggregations.map(({ name }) => [name, -Infinity]));
  }

  take(events: readonly StreamEvent[]): void {
    this.#events.push(...events);
    this.#advance();
  }

  tick(at: number): void {
    this.#silentAt = Math.max(this.#silentAt, at);
    this.#advance();
  }

  #advance(): void {
    const sources = [...Map.groupBy(this.#events, ({ source }) => source).values()].map((events) => ({
      newest: Math.max(...events.map(({ timestamp, receivedAt }) => Math.min(timestamp, receivedAt))),
      isActive: Math.max(...events.map(({ receivedAt }) => receivedAt)) > this.#silentAt - IDLE_TIMEOUT_MS,
    }));
    if (sources.length === 0) return;
    this.watermarks = new Map(
      this.#aggregations.map(({ name, outOfOrdernessMs }) => {
        const known = this.watermarks.get(name) ?? -Infinity;
        const marks = sources.filter(({ isActive }) => isActive).map(({ newest }) => newest - outOfOrdernessMs);
        const aligned = marks.filter((mark) => mark >= known);
        return [name, aligned.length > 0 ? Math.min(...aligned) : Math.max(known, this.#silentAt - outOfOrdernessMs)];
      }),
    );
  }
}
