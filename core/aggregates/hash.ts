/**
 * A 64-bit hash of JSON values, as two 32-bit words.
 *
 * Problem: HyperLogLog needs 64 well mixed bits, fast, for text as JavaScript holds it; and the same bits forever, because
 * stored sketches of different years are merged. So nothing here may ever change: not a constant, not a seed.
 * Rule: two lanes take every 32-bit word of input, each with the mixing steps of one lane of MurmurHash3_x86_128, and are
 * finished with its fmix32. Text goes in as UTF-16 units, two a word, so nothing is encoded or allocated.
 * Why not a library: those for 64 bits encode to UTF-8 first or use BigInt, ten and more times slower on short strings.
 * Not for secrets or against attackers: whoever can choose values can make them collide.
 *
 * @see MurmurHash3.cpp by Austin Appleby (public domain)
 */
import type { JsonValue } from "../events/event.ts";
import { canonicalJson } from "./canonical-json.ts";

// The kind of a value is its seed, so "1", 1 and [1] (whose text is "[1]") differ from each other and from their texts.
const SEED_STRING = 0x5f10_0001;
const SEED_NUMBER = 0x5f10_0002;
const SEED_BOOLEAN = 0x5f10_0003;
const SEED_COMPOUND = 0x5f10_0004;
const SEED_NULL = 0x5f10_0005;

const number = new DataView(new ArrayBuffer(8));

/**
 * Writes the hash of `value` to `words[2 * at]` (low) and `words[2 * at + 1]` (high). Equal JSON values hash alike: −0 as 0,
 * objects by their canonical JSON text.
 */
export function hashValue(value: JsonValue, words: Uint32Array, at: number): void {
  if (typeof value === "string") hashText(value, SEED_STRING, words, at);
  else if (typeof value === "number") hashNumber(value, words, at);
  else if (typeof value === "boolean") hashPair(SEED_BOOLEAN, value ? 1 : 0, 0, words, at);
  else if (value === null) hashPair(SEED_NULL, 0, 0, words, at);
  else hashText(canonicalJson(value), SEED_COMPOUND, words, at);
}

function hashText(text: string, seed: number, words: Uint32Array, at: number): void {
  let low = seed;
  let high = ~seed;
  const pairs = text.length & ~1;
  for (let unit = 0; unit < pairs; unit += 2) {
    const word = text.charCodeAt(unit) | (text.charCodeAt(unit + 1) << 16);
    low = absorbLow(low, word, high);
    high = absorbHigh(high, word, low);
  }
  if (pairs < text.length) {
    const word = text.charCodeAt(pairs);
    low = absorbLow(low, word, high);
    high = absorbHigh(high, word, low);
  }
  finish(low, high, text.length, words, at);
}

function hashNumber(value: number, words: Uint32Array, at: number): void {
  number.setFloat64(0, value + 0, true); // −0 + 0 is 0
  hashPair(SEED_NUMBER, number.getInt32(0, true), number.getInt32(4, true), words, at);
}

function hashPair(seed: number, first: number, second: number, words: Uint32Array, at: number): void {
  let low = absorbLow(seed, first, ~seed);
  let high = absorbHigh(~seed, first, low);
  low = absorbLow(low, second, high);
  high = absorbHigh(high, second, low);
  finish(low, high, 8, words, at);
}

function absorbLow(lane: number, word: number, other: number): number {
  const k = Math.imul(word, 0x239b961b);
  const mixed = lane ^ Math.imul((k << 15) | (k >>> 17), 0xab0e9789);
  return (Math.imul(((mixed << 19) | (mixed >>> 13)) + other, 5) + 0x561ccd1b) | 0;
}

function absorbHigh(lane: number, word: number, other: number): number {
  const k = Math.imul(word, 0xab0e9789);
  const mixed = lane ^ Math.imul((k << 16) | (k >>> 16), 0x38b34ae5);
  return (Math.imul(((mixed << 17) | (mixed >>> 15)) + other, 5) + 0x0bcaa747) | 0;
}

function finish(low: number, high: number, length: number, words: Uint32Array, at: number): void {
  const sum = ((low ^ length) + (high ^ length)) | 0;
  const first = fmix32(sum);
  const second = fmix32(((high ^ length) + sum) | 0);
  words[2 * at] = first + second;
  words[2 * at + 1] = first + 2 * second;
}

function fmix32(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
