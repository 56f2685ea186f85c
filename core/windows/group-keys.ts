import type { JsonValue } from "../events/event.ts";

/** Longer values (as JSON, UTF-16 units) have no key of their own: they would let 10,000 groups fill an object's memory. */
export const MAX_GROUP_KEY_LENGTH = 1024;
/** Keys remembered, and how long their value may be: some 2 MB at most. */
const MAX_REMEMBERED = 20_000;
const MAX_REMEMBERED_LENGTH = 64;

/** The number of a key that is not remembered. */
export const UNNUMBERED = -1;

/** A group's key: JSON text of the list of its values. */
export interface GroupKey {
  readonly text: string;
  /** Small, and the same from batch to batch as long as the key is remembered; UNNUMBERED where keys are not. Another key may have it later. */
  readonly number: number;
}

/**
 * The keys of groups.
 *
 * Those of single texts are remembered from batch to batch, since the same clients, paths or customers come again and again: then a
 * key need not be written anew, whoever looks it up in a map finds the very text that is in there, and who keeps something for each
 * can do without a map.
 */
export class GroupKeys {
  readonly #known = new Map<string, GroupKey>();

  /** @returns null when the value is too long to be a group */
  ofOne(value: JsonValue): GroupKey | null {
    return typeof value === "string" && value.length <= MAX_REMEMBERED_LENGTH ? this.#ofText(value) : this.of([value]);
  }

  /** @returns null when the values are too long to be a group */
  of(values: readonly JsonValue[]): GroupKey | null {
    const text = JSON.stringify(values);
    return text.length <= MAX_GROUP_KEY_LENGTH ? { text, number: UNNUMBERED } : null;
  }

  #ofText(value: string): GroupKey {
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
    const key = { text: JSON.stringify([value]), number: this.#known.size };
    this.#known.set(value, key);
    return key;
  }
}
