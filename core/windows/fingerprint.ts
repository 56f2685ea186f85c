/** Words of one fingerprint. */
export const FINGERPRINT_WORDS = 3;

/**
 * 96-bit fingerprint of an event id, written to `into[at … at + 2]`.
 *
 * With a million ids remembered, a new id is taken for a known one with probability 10^6 / 2^96 ≈ 10^-23. It is not
 * cryptographic: a producer that crafts colliding ids loses its own events, never another tenant's. The mixing is fixed for ever,
 * because fingerprints are stored. Three lanes of multiply-xor over UTF-16 units, each finished as in MurmurHash3's fmix32.
 */
export function fingerprint(id: string, into: Uint32Array, at: number): void {
  let a = 0x9e3779b1 ^ id.length;
  let b = 0x85ebca77;
  let c = 0xc2b2ae3d;
  for (let k = 0; k < id.length; k++) {
    const unit = id.charCodeAt(k);
    a = Math.imul(a ^ unit, 0x01000193);
    a ^= a >>> 15;
    b = Math.imul(b ^ unit, 0x27d4eb2f);
    b ^= b >>> 13;
    c = Math.imul(c + unit, 0x165667b1);
    c ^= c >>> 14;
  }
  into[at] = finish(a ^ Math.imul(c, 5));
  into[at + 1] = finish(b ^ Math.imul(a, 7));
  into[at + 2] = finish(c ^ Math.imul(b, 3));
}

function finish(word: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** The 256 fixed slots that tenants' shards own: a slot is the low byte of the fingerprint's first word. */
export function slotOf(words: Uint32Array, at: number): number {
  return (words[at] ?? 0) & 0xff;
}
