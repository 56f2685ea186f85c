/**
 * Which stretches of event time of one source may hold stored events, in buckets of `BUCKET_MS`.
 *
 * An id is surely new when nothing was ever stored in its bucket, so a backfill into empty time needs no look-up. Ranges are
 * sorted, disjoint and merged when they touch. Beyond `MAX_RANGES` the two nearest are merged: that claims too much, which costs
 * a look-up and is never wrong.
 */
export const BUCKET_MS = 10_000;
const MAX_RANGES = 256;

export const bucketOf = (timestamp: number): number => Math.floor(timestamp / BUCKET_MS);

export class StoredSpans {
  /** from, to (exclusive), from, to, … */
  readonly #edges: number[];
  constructor(edges: readonly number[] = []) {
    this.#edges = [...edges];
  }

  has(bucket: number): boolean {
    // An odd number of edges at or below the bucket means it lies inside a range.
    return this.#countAtMost(bucket) % 2 === 1;
  }

  add(bucket: number): void {
    if (this.has(bucket)) return;
    const at = this.#countAtMost(bucket);
    const joinsLeft = at > 0 && this.#edges[at - 1] === bucket;
    const joinsRight = this.#edges[at] === bucket + 1;
    if (joinsLeft && joinsRight) this.#edges.splice(at - 1, 2);
    else if (joinsLeft) this.#edges[at - 1] = bucket + 1;
    else if (joinsRight) this.#edges[at] = bucket;
    else this.#edges.splice(at, 0, bucket, bucket + 1);
    if (this.#edges.length > 2 * MAX_RANGES) this.#mergeNearest();
  }

  /** Adds whole ranges: edges as another's `toJSON` gives them. */
  addAll(edges: readonly number[]): void {
    const joined = union(this.#edges, edges);
    this.#edges.splice(0, this.#edges.length, ...joined);
    while (this.#edges.length > 2 * MAX_RANGES) this.#mergeNearest();
  }

  clear(): void {
    this.#edges.length = 0;
  }

  toJSON(): readonly number[] {
    return this.#edges;
  }

  #countAtMost(bucket: number): number {
    let low = 0;
    let high = this.#edges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#edges[middle] ?? Infinity) <= bucket) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #mergeNearest(): void {
    let nearest = 1;
    let gap = Infinity;
    for (let k = 1; k + 1 < this.#edges.length; k += 2) {
      const width = (this.#edges[k + 1] ?? 0) - (this.#edges[k] ?? 0);
      if (width < gap) [nearest, gap] = [k, width];
    }
    this.#edges.splice(nearest, 2);
  }
}

/** Edges of what lies in a range of one or the other; ranges that touch are joined. */
function union(a: readonly number[], b: readonly number[]): number[] {
  const ranges = [...pairs(a), ...pairs(b)].sort(([x], [y]) => x - y);
  const joined: [number, number][] = [];
  for (const [from, to] of ranges) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined.flat();
}

function pairs(edges: readonly number[]): [number, number][] {
  return Array.from({ length: edges.length / 2 }, (_, k) => [edges[2 * k] ?? 0, edges[2 * k + 1] ?? 0]);
}
