import { countProblem } from "./arguments.ts";
import { item, type Operator } from "./source.ts";
import { operator } from "./stream.ts";

export interface DistinctOptions<T> {
  /** What makes two items the same, compared as in a Set. Default: the item itself. */
  readonly keyOf?: (value: T) => unknown;
  /** Keys kept in memory, ≥ 1. */
  readonly maxKeys?: number;
}

/** About 1 MB of short strings. */
const MAX_KEYS = 10_000;

/**
 * Each item the first time only. Remembers the `maxKeys` keys seen last and forgets the rest, so memory is bounded, and an item
 * comes again if at least `maxKeys` other keys were seen since it last came.
 */
export function distinct<T>(options: DistinctOptions<T> = {}): Operator<T, T> {
  const { keyOf = (value: T): unknown => value, maxKeys = MAX_KEYS } = options;
  return operator(
    (input) => {
      const isNew = recentKeys(maxKeys);
      return async () => {
        for (;;) {
          const step = await input.next();
          if (step.done === true || isNew(keyOf(step.value))) return step;
        }
      };
    },
    countProblem("maxKeys", maxKeys, 1),
  );
}

/** @returns says whether a key is new, and remembers it as the latest */
function recentKeys(maxKeys: number): (key: unknown) => boolean {
  const keys = new Set<unknown>();
  return (key) => {
    const isNew = !keys.delete(key);
    keys.add(key);
    if (keys.size > maxKeys) deleteFirst(keys);
    return isNew;
  };
}

function deleteFirst(keys: Set<unknown>): void {
  for (const oldest of keys) {
    keys.delete(oldest);
    return;
  }
}

/** Leaves out items that equal the one before. */
export function distinctUntilChanged<T>(isSame: (before: T, now: T) => boolean = Object.is): Operator<T, T> {
  return operator((input) => {
    let before: IteratorYieldResult<T> | undefined;
    return async () => {
      for (;;) {
        const step = await input.next();
        if (step.done === true) return step;
        const isRepeat = before !== undefined && isSame(before.value, step.value);
        if (isRepeat) continue;
        before = item(step.value);
        return step;
      }
    };
  });
}
