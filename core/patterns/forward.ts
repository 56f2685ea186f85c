import { canonicalJson } from "../aggregates/canonical-json.ts";
import { hashValue } from "../aggregates/hash.ts";
import type { EventBatch } from "../events/event-batch.ts";
import type { JsonValue } from "../events/event.ts";
import { BatchView } from "../windows/batch-view.ts";
import { MAX_GROUP_KEY_LENGTH } from "../windows/group-keys.ts";
import { RowsPart } from "./forwarded-rows.ts";
import { PATTERN_TYPE_PREFIX } from "./match-event.ts";
import type { PatternPlan } from "./plan.ts";

/** Keepers of a tenant. Fixed for ever: it decides where a key's events are. */
export const KEEPERS = 8;

/** The key of a pattern without one. */
const ALL_TOGETHER = "null";

/** What a pattern made of the events it was tried on. */
export interface FeedCounts {
  /** Times a filter failed; such an event does not match. */
  filterErrors: number;
  /** Events that matched a step and have no key (it is missing or null), or one too long. */
  unkeyed: number;
}

/** The keeper of a pattern's key. The pattern counts too, so that patterns without a key do not all share one keeper. */
export function keeperOf(patternId: number, key: string): number {
  const words = new Uint32Array(2);
  hashValue(`${patternId} ${key}`, words, 0);
  return (words[0] ?? 0) % KEEPERS;
}

/** Events that some pattern waits for, gathered by keeper from one batch after the other. */
export class Gathering {
  /** Each keeper's, in order. */
  readonly byKeeper = new Map<number, RowsPart[]>();
  /** By pattern id. */
  readonly counts = new Map<number, FeedCounts>();
  /** Rows gathered. */
  rows = 0;
  /** By pattern: where its rows go. */
  readonly #places = new Map<number, KeyPlaces>();

  /** True when there is nothing to tell. */
  get isEmpty(): boolean {
    if (this.rows > 0) return false;
    return [...this.counts.values()].every(({ filterErrors, unkeyed }) => filterErrors + unkeyed === 0);
  }

  /** Adds what patterns wait for among rows of a batch. Events about patterns are passed over. */
  add(plans: readonly PatternPlan[], batch: EventBatch, rows: Uint32Array): void {
    const view = new BatchView(batch, withoutPatternEvents(batch, rows));
    for (const plan of plans) this.#addFor(plan, view);
  }

  #addFor(plan: PatternPlan, view: BatchView): void {
    const { batch } = view;
    const { timestamps, ids } = batch;
    const counts = countsIn(this.counts, plan.id);
    const { rows, stepsOf } = markSteps(plan, view, counts);
    const keys = plan.keyPath === undefined ? undefined : batch.column(plan.keyPath);
    const places: (KeyPlace | null | undefined)[] = [];
    for (const row of rows) {
      const position = keys?.index[row] ?? 0;
      let place = places[position];
      if (place === undefined || place?.part.isFull === true) {
        place = this.#placeOf(plan, keys?.values[position]);
        places[position] = place;
      }
      if (place === null) counts.unkeyed++;
      else {
        place.part.add(place.of, timestamps[row] ?? 0, ids[row] ?? "", stepsOf(row));
        this.rows++;
      }
    }
  }

  /** @returns null when the event has no key */
  #placeOf({ id, keyPath }: PatternPlan, value: JsonValue | undefined): KeyPlace | null {
    const isText = typeof value === "string";
    const places = this.#placesOf(id)[isText ? "texts" : "others"];
    // A text is looked up as it comes: its JSON text would have to be made and hashed for each batch anew.
    const name = isText ? value : keyPath === undefined ? ALL_TOGETHER : keyText(value);
    const known = name === null ? undefined : places.get(name);
    if (known !== undefined && !known.part.isFull) return known;
    const key = isText ? keyText(value) : name;
    if (name === null || key === null) return null;
    const part = this.#partOf(keeperOf(id, key));
    const place = { part, of: part.addKey(id, key) };
    places.set(name, place);
    return place;
  }

  #placesOf(patternId: number): KeyPlaces {
    const known = this.#places.get(patternId);
    if (known !== undefined) return known;
    const made = { texts: new Map(), others: new Map() };
    this.#places.set(patternId, made);
    return made;
  }

  #partOf(keeper: number): RowsPart {
    let parts = this.byKeeper.get(keeper);
    if (parts === undefined) {
      parts = [];
      this.byKeeper.set(keeper, parts);
    }
    const last = parts.at(-1);
    if (last !== undefined && !last.isFull) return last;
    const part = new RowsPart();
    parts.push(part);
    return part;
  }
}

/** A pattern's counts, made on first sight. */
export function countsIn(counts: Map<number, FeedCounts>, patternId: number): FeedCounts {
  const known = counts.get(patternId);
  if (known !== undefined) return known;
  const made = { filterErrors: 0, unkeyed: 0 };
  counts.set(patternId, made);
  return made;
}

/** A key, and where its rows go: its index in a part of its keeper's. */
interface KeyPlace {
  readonly part: RowsPart;
  readonly of: number;
}

/** Keys of a pattern, by the text that they are, or by their JSON text if they are something else. */
interface KeyPlaces {
  readonly texts: Map<string, KeyPlace>;
  readonly others: Map<string, KeyPlace>;
}

function withoutPatternEvents(batch: EventBatch, rows: Uint32Array): Uint32Array {
  const { values, index } = batch.column(["type"]);
  const isOwn = values.map((type) => String(type).startsWith(PATTERN_TYPE_PREFIX));
  return isOwn.includes(true) ? rows.filter((row) => isOwn[index[row] ?? 0] !== true) : rows;
}

/** The rows that pass a step's filter, in order, and the bits of the steps that a row passes. */
function markSteps(
  { steps }: PatternPlan,
  view: BatchView,
  counts: FeedCounts,
): { rows: Iterable<number>; stepsOf: (row: number) => number } {
  const [only, ...others] = steps.map(({ filter, bit }) => {
    const { rows, errors } = view.select(filter);
    counts.filterErrors += errors;
    return { rows, bit };
  });
  if (only === undefined) return { rows: [], stepsOf: () => 0 };
  if (others.length === 0) return { rows: only.rows, stepsOf: () => only.bit };
  const bits = new Uint8Array(view.batch.length);
  for (const { rows, bit } of [only, ...others]) for (const row of rows) bits[row] = (bits[row] ?? 0) | bit;
  return { rows: view.rows.filter((row) => bits[row] !== 0), stepsOf: (row) => bits[row] ?? 0 };
}

function keyText(value: JsonValue | undefined): string | null {
  if (value === undefined || value === null) return null;
  const text = canonicalJson(value);
  return text.length <= MAX_GROUP_KEY_LENGTH ? text : null;
}
