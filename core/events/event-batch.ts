import { Bag } from "./bag.ts";
import { type Column, childColumn, identityIndex } from "./column.ts";
import { ColumnarBuilder } from "./columnar-builder.ts";
import { type BatchText, CorruptBatchError, type TimesText } from "./columnar-format.ts";
import { selectTimes } from "./select-rows.ts";
import type { JsonValue, StreamEvent } from "./event.ts";

export type { Column } from "./column.ts";
export { ColumnarBuilder } from "./columnar-builder.ts";
export { CorruptBatchError } from "./columnar-format.ts";

/**
 * The read side of the columnar text: columns are decoded when first asked for, rows only by `event`.
 * Nothing it returns may be changed: columns are cached, and rows with one dictionary value share that object.
 */
export class EventBatch {
  readonly length: number;
  readonly ids: readonly string[];
  /** Epoch ms, row by row. */
  readonly timestamps: Float64Array;
  /** Epoch ms, row by row. */
  readonly receivedAt: Float64Array;
  readonly #assigned: ReadonlySet<number>;
  readonly #fields: Bag;
  readonly #data: Bag;
  readonly #metadata: Bag;
  readonly #columns = new Map<string, Column>();
  #identity: Uint32Array | undefined;

  private constructor(text: BatchText) {
    this.length = text.n;
    this.ids = text.id;
    this.timestamps = decodeTimes(text.ts, text.n);
    this.receivedAt = decodeTimes(text.rt, text.n);
    this.#assigned = new Set(text.ta);
    this.#fields = new Bag(text.fields, text.n);
    this.#data = new Bag(text.data, text.n);
    this.#metadata = new Bag(text.metadata, text.n);
  }

  /** @throws CorruptBatchError; a column that does not fit may throw it later, when it is first used */
  static fromText(text: string): EventBatch {
    return new EventBatch(parseBatch(text));
  }

  /** The same as building the text of `events` and reading it. */
  static fromEvents(events: readonly StreamEvent[]): EventBatch {
    const builder = new ColumnarBuilder();
    for (const event of events) builder.add(event);
    return EventBatch.fromText(builder.toText());
  }

  /** True when the row's timestamp is its receive time for want of any other. */
  isTimestampAssigned(row: number): boolean {
    return this.#assigned.has(row);
  }

  /**
   * The column of a path under the event, e.g. ["type"], ["timestamp"] (epoch ms), ["data"], ["data", "client", "ip"].
   * [] is the whole event as an object with the field names of the API and times in epoch ms.
   * A path that no row has is a column of undefined.
   * @throws CorruptBatchError
   */
  column(path: readonly string[]): Column {
    const name = JSON.stringify(path);
    const known = this.#columns.get(name);
    if (known !== undefined) return known;
    const column = this.#decode(path);
    this.#columns.set(name, column);
    return column;
  }

  /** One row, 0 ≤ row < length, as an event: a new object on each call whose values are shared. @throws CorruptBatchError */
  event(row: number): StreamEvent {
    const event = {
      id: this.ids[row],
      timestamp: this.timestamps[row],
      receivedAt: this.receivedAt[row],
      ...this.#fields.object(row),
      data: this.#data.object(row),
      metadata: this.#metadata.object(row),
      ...(this.#assigned.has(row) ? { timestampAssigned: true } : {}),
    };
    return event as unknown as StreamEvent;
  }

  /** The text of a batch of some of the rows, in the order given. @throws CorruptBatchError */
  select(rows: Uint32Array): string {
    const assigned = this.#assigned.size === 0 ? [] : [...rows.keys()].filter((k) => this.#assigned.has(rows[k] ?? -1));
    const text: BatchText = {
      v: 1,
      n: rows.length,
      id: Array.from(rows, (row) => this.ids[row] ?? ""),
      ts: selectTimes(this.timestamps, rows),
      rt: selectTimes(this.receivedAt, rows),
      ...(assigned.length > 0 ? { ta: assigned } : {}),
      fields: this.#fields.select(rows),
      data: this.#data.select(rows),
      metadata: this.#metadata.select(rows),
    };
    return JSON.stringify(text);
  }

  #decode(path: readonly string[]): Column {
    const [field, key] = path;
    const last = path.at(-1);
    if (field === undefined || last === undefined) return this.#perRow((row) => this.#whole(row));
    if (path.length === 1) return this.#field(field);
    if (path.length === 2 && key !== undefined) {
      if (field === "data") return this.#data.column(key);
      if (field === "metadata") return this.#metadata.column(key);
    }
    return childColumn(this.column(path.slice(0, -1)), last);
  }

  #field(field: string): Column {
    if (field === "id") return this.#perRow((row) => this.ids[row]);
    if (field === "timestamp") return this.#perRow((row) => this.timestamps[row]);
    if (field === "received_at") return this.#perRow((row) => this.receivedAt[row]);
    if (field === "data") return this.#perRow((row) => this.#data.object(row));
    if (field === "metadata") return this.#perRow((row) => this.#metadata.object(row));
    return this.#fields.column(field);
  }

  #whole(row: number): JsonValue {
    return {
      id: this.ids[row] ?? "",
      timestamp: this.timestamps[row] ?? null,
      received_at: this.receivedAt[row] ?? null,
      ...this.#fields.object(row),
      data: this.#data.object(row),
      metadata: this.#metadata.object(row),
    };
  }

  #perRow(value: (row: number) => JsonValue | undefined): Column {
    this.#identity ??= identityIndex(this.length);
    return { values: Array.from({ length: this.length }, (_, row) => value(row)), index: this.#identity };
  }
}

function parseBatch(text: string): BatchText {
  let batch: Partial<BatchText> | null;
  try {
    batch = JSON.parse(text) as Partial<BatchText> | null;
  } catch (cause) {
    throw new CorruptBatchError("not JSON", { cause });
  }
  if (typeof batch !== "object" || batch?.v !== 1) throw new CorruptBatchError("not a batch of version 1");
  const { n, id, ts, rt, fields, data, metadata } = batch;
  if (n === undefined || !Array.isArray(id) || id.length !== n) throw new CorruptBatchError("rows and ids differ");
  if (ts === undefined || rt === undefined) throw new CorruptBatchError("times are missing");
  if (!isObject(fields) || !isObject(data) || !isObject(metadata)) throw new CorruptBatchError("columns are missing");
  return batch as BatchText;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function decodeTimes(times: TimesText, rows: number): Float64Array {
  const decoded = new Float64Array(rows);
  if (typeof times === "number") return decoded.fill(times);
  if (!Array.isArray(times) || times.length !== rows) throw new CorruptBatchError("times do not fit the rows");
  let at = 0;
  for (let row = 0; row < rows; row++) {
    at += Number(times[row]);
    decoded[row] = at;
  }
  if (!Number.isFinite(at)) throw new CorruptBatchError("a time is not a number");
  return decoded;
}
