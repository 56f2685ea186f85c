import type { JsonValue } from "../events/event.ts";

/** Longer values (as JSON, UTF-16 units) have no key of their own: they would let 10,000 groups fill an object's memory. */
export const MAX_GROUP_KEY_LENGTH = 1024;
/** Keys remembered, and how long their value may be: some 2 MB at most. */
const MAX_REMEMBERED = 20_000;
const MAX_REMEMBERED_LENGTH = 64;

/**
 * The keys of groups: JSON text of the list of their values.
 *
 * Those of single texts are remembered from batch to batch, since the same clients, paths or customers come again and again: then a
 * key need not be written anew, and whoever looks it up in a map finds the very text that is in there.
 */
export class GroupKeys {
  readonly #known = new Map<string, string>();

  /** @returns null when the value is too long to be a group */
  ofOne(value: JsonValue): string | null {
    return typeof value === "string" && value.length <= MAX_REMEMBERED_LENGTH ? this.#ofText(value) : this.of([value]);
  }

  /** @returns null when the values are too long to be a group */
  of(values: readonly JsonValue[]): string | null {
    const key = JSON.stringify(values);
    return key.length <= MAX_GROUP_KEY_LENGTH ? key : null;
  }

  #ofText(value: string): string {
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
    const key = JSON.stringify([value]);
    this.#known.set(value, key);
    return key;
  }
}
