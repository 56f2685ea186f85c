/**
 * Bloom filters that SQLite can probe.
 *
 * A sealed segment carries one, so that a query for one user reads only the segments that may hold that user. The probe
 * runs inside D1, which has no functions of ours: so a key is hashed here, and SQL takes the hash modulo the filter's own
 * length (storage/d1/segment-search.ts). Filters of any length can therefore stand side by side. The hash is part of the
 * stored format: changing it would make old filters lie.
 *
 * Four probes at every size, which is best near 6 bits a key; at 10 bits seven would let 0.8 % through instead of 1.2 %.
 */
const PROBES = 4;

/** At 10 bits a key and 4 probes about 1.2 % of absent keys look present. */
const BITS_PER_KEY = 10;

/**
 * A segment's index row, filter included, should fit a cell of SQLite's index page (1,002 bytes of a 4 KB page); 768 leaves
 * room for the rest of it. Above 614 keys the bits per key shrink: at 1,000 keys 5 % of absent keys look present, at 2,000 28 %.
 */
export const MAX_FILTER_BYTES = 768;

/** One bit of a filter of n bytes: the byte `hash % n`, the bits of it in `mask` (one of 1, 2, 4 … 128). */
export interface Probe {
  /** An integer from 0 to 2^29 − 1. */
  readonly hash: number;
  readonly mask: number;
}

/** Where a key's bits are, in a filter of any length. */
export function probesOf(key: string): readonly Probe[] {
  const [first, second] = hashPair(key);
  return Array.from({ length: PROBES }, (_, k) => {
    const bit = (first + Math.imul(k, second)) >>> 0;
    return { hash: bit >>> 3, mask: 1 << (bit & 7) };
  });
}

/**
 * The filter over a set of keys; repeated keys cost nothing.
 * @returns at most `MAX_FILTER_BYTES` bytes, none when there are no keys
 */
export function buildBloom(keys: Iterable<string>): Uint8Array {
  const distinct = new Set(keys);
  const filter = new Uint8Array(Math.min(MAX_FILTER_BYTES, Math.ceil((distinct.size * BITS_PER_KEY) / 8)));
  for (const key of distinct) {
    // The bits of `probesOf`, without making its objects: sealing does this for every distinct key.
    const [first, second] = hashPair(key);
    for (let k = 0; k < PROBES; k++) {
      const bit = (first + Math.imul(k, second)) >>> 0;
      const at = (bit >>> 3) % filter.length;
      filter[at] = (filter[at] ?? 0) | (1 << (bit & 7));
    }
  }
  return filter;
}

/** False only when the key is surely not in the set the filter was built from. */
export function mayContain(filter: Uint8Array, key: string): boolean {
  return probesOf(key).every(({ hash, mask }) => ((filter[hash % filter.length] ?? 0) & mask) !== 0);
}

/** Two 32-bit hashes of a string's UTF-16 units: two multiply-xorshift lanes, crossed at the end (murmur3's finalizer). */
export function hashPair(text: string): readonly [number, number] {
  let a = 0xdeadbeef ^ text.length;
  let b = 0x41c6ce57 ^ text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit, 0x5f356495);
    a ^= a >>> 15;
  }
  a = mix(a ^ (b >>> 13));
  b = mix(b ^ (a >>> 11));
  // Odd, so that the probes of a key walk through different bits.
  return [a >>> 0, (b | 1) >>> 0];
}

function mix(value: number): number {
  const once = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}
