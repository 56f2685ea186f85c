import { BagBuilder, ColumnBuilder } from "./column-builder.ts";
import type { BagText, BatchText, TimesText } from "./columnar-format.ts";
import type { StreamEvent } from "./event.ts";

/** Epoch ms row by row, kept as differences. */
class TimesBuilder {
  readonly #differences: number[] = [];
  #first = 0;
  #last = 0;
  #isConstant = true;

  add(at: number): void {
    if (this.#differences.length === 0) this.#first = at;
    else if (at !== this.#last) this.#isConstant = false;
    this.#differences.push(at - this.#last);
    this.#last = at;
  }

  toTimesText(): TimesText {
    return this.#isConstant ? this.#first : this.#differences;
  }
}

/**
 * Turns events into the columnar text that queue messages, logs and segments hold. `EventBatch` reads it.
 * Every event comes back equal, key order of `data` and `metadata` aside and -0 as 0.
 */
export class ColumnarBuilder {
  readonly #ids: string[] = [];
  readonly #timestamps = new TimesBuilder();
  readonly #receivedAt = new TimesBuilder();
  readonly #assigned: number[] = [];
  readonly #type = new ColumnBuilder();
  readonly #source = new ColumnBuilder();
  readonly #severity = new ColumnBuilder();
  readonly #correlationId = new ColumnBuilder();
  readonly #sessionId = new ColumnBuilder();
  readonly #userId = new ColumnBuilder();
  readonly #tags = new ColumnBuilder();
  readonly #data = new BagBuilder();
  readonly #metadata = new BagBuilder();

  /** Events added so far. */
  get length(): number {
    return this.#ids.length;
  }

  /** Appends one row. The event is not copied: its values must not change before `toText`. */
  add(event: StreamEvent): void {
    const row = this.#ids.push(event.id) - 1;
    this.#timestamps.add(event.timestamp);
    this.#receivedAt.add(event.receivedAt);
    if (event.timestampAssigned === true) this.#assigned.push(row);
    this.#type.add(row, event.type);
    this.#source.add(row, event.source);
    this.#severity.add(row, event.severity);
    if (event.correlation_id !== undefined) this.#correlationId.add(row, event.correlation_id);
    if (event.session_id !== undefined) this.#sessionId.add(row, event.session_id);
    if (event.user_id !== undefined) this.#userId.add(row, event.user_id);
    if (event.tags !== undefined) this.#tags.add(row, event.tags);
    this.#data.add(row, event.data);
    this.#metadata.add(row, event.metadata);
  }

  /** The batch as JSON text, version 1. */
  toText(): string {
    const n = this.#ids.length;
    const text: BatchText = {
      v: 1,
      n,
      id: this.#ids,
      ts: this.#timestamps.toTimesText(),
      rt: this.#receivedAt.toTimesText(),
      ...(this.#assigned.length > 0 ? { ta: this.#assigned } : {}),
      fields: this.#fieldsText(n),
      data: this.#data.toBagText(n),
      metadata: this.#metadata.toBagText(n),
    };
    return JSON.stringify(text);
  }

  #fieldsText(n: number): BagText {
    const columns: [string, ColumnBuilder][] = [
      ["type", this.#type],
      ["source", this.#source],
      ["severity", this.#severity],
      ["correlation_id", this.#correlationId],
      ["session_id", this.#sessionId],
      ["user_id", this.#userId],
      ["tags", this.#tags],
    ];
    return {
      k: columns.filter(([, column]) => !column.isEmpty).map(([name, column]) => [name, column.toColumnText(n)]),
    };
  }
}
