/**
 * Cuts a list, in order, into groups of at most `maxItems` items and `maxBytes` bytes. An item over `maxBytes` is a group of
 * its own.
 */
export function groupBySize<T>(
  items: readonly T[],
  bytesOf: (item: T) => number,
  { maxItems, maxBytes }: { readonly maxItems: number; readonly maxBytes: number },
): T[][] {
  const groups: T[][] = [];
  let bytes = 0;
  for (const item of items) {
    bytes += bytesOf(item);
    const group = groups.at(-1);
    if (group !== undefined && group.length < maxItems && bytes <= maxBytes) group.push(item);
    else {
      groups.push([item]);
      bytes = bytesOf(item);
    }
  }
  return groups;
}
