import type { Source } from "./source.ts";

/** All items. @throws RangeError, closing the source, when there are more than `maxItems` */
export async function toArray<T>(source: Source<T>, maxItems = Infinity): Promise<T[]> {
  const items: T[] = [];
  for await (const value of source) {
    if (items.length >= maxItems) throw new RangeError(`more than ${maxItems} items`);
    items.push(value);
  }
  return items;
}
