import { type ByteReader, type ByteWriter, CorruptStateError } from "../bytes.ts";
import type { JsonValue } from "../events/event.ts";
import type { Accumulator, Prepared } from "./accumulator.ts";
import { canonicalJson, parseStoredJson } from "./canonical-json.ts";
import { valueAt, wrongMerge } from "./prepared.ts";

const VERSION = 1;
const EMPTY = 0;
const FILLED = 1;
/** Parsed objects take a few times the space of their text. */
const BYTES_PER_JSON_CHAR = 4;

/**
 * first and last: the value of the event that is first or last by (timestamp, id); null when there is none.
 *
 * Events without the field, or with null in it, are passed over, as count does.
 */
export class EndpointAccumulator implements Accumulator {
  readonly #of: "first" | "last";
  #value: JsonValue = null;
  #timestamp = Number.NaN;
  #id = "";

  constructor(of: "first" | "last") {
    this.#of = of;
  }

  add(prepared: Prepared, position: number, timestamp: number, id: string): void {
    const value = valueAt(prepared, position);
    if (value !== undefined && this.#yieldsTo(timestamp, id)) this.#take(value, timestamp, id);
  }

  merge(other: Accumulator): void {
    if (!(other instanceof EndpointAccumulator) || other.#of !== this.#of) throw wrongMerge();
    if (!Number.isNaN(other.#timestamp) && this.#yieldsTo(other.#timestamp, other.#id)) {
      this.#take(other.#value, other.#timestamp, other.#id);
    }
  }

  result(): JsonValue {
    return this.#value;
  }

  encode(into: ByteWriter): void {
    into.u8(VERSION);
    into.u8(Number.isNaN(this.#timestamp) ? EMPTY : FILLED);
    if (Number.isNaN(this.#timestamp)) return;
    into.f64(this.#timestamp);
    into.string(this.#id);
    into.string(canonicalJson(this.#value));
  }

  static decode(from: ByteReader, of: "first" | "last"): EndpointAccumulator {
    from.version(VERSION, of);
    const state = new EndpointAccumulator(of);
    const filled = from.u8();
    if (filled > FILLED) throw new CorruptStateError(`${of} has flag ${filled}`);
    if (filled === EMPTY) return state;
    const timestamp = from.f64();
    if (!Number.isFinite(timestamp)) throw new CorruptStateError(`${of} has no timestamp`);
    const id = from.string();
    state.#take(parseStoredJson(from.string()), timestamp, id);
    return state;
  }

  retainedBytes(): number {
    return 96 + 2 * this.#id.length + BYTES_PER_JSON_CHAR * canonicalJson(this.#value).length;
  }

  #take(value: JsonValue, timestamp: number, id: string): void {
    this.#value = value;
    this.#timestamp = timestamp;
    this.#id = id;
  }

  /** Whether an event at (timestamp, id) comes before (for first) or after (for last) the one held, if any. */
  #yieldsTo(timestamp: number, id: string): boolean {
    if (Number.isNaN(this.#timestamp)) return true;
    const before = timestamp < this.#timestamp || (timestamp === this.#timestamp && id < this.#id);
    return this.#of === "first" ? before : !before;
  }
}
