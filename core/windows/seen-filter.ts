/** Bits of a layer per id it takes, and bits set for each: 0.009 % of new ids look known to a full layer, 0.09 % to ten. */
const BITS_PER_ID = 20;
const PROBES = 10;
/** The places of bits depend on this program's way to choose them: layers of another are of no use. */
const SCHEME = 1;

/**
 * Bytes of each layer, powers of two. The first ones are small, so that a tenant with few events pays little; none is larger than
 * a row of the disk may be, as each is one. A checkpoint writes the newest. Together 8.7 MB for 3.4 million ids.
 */
export const LAYER_BYTES: readonly number[] = [1 << 16, 1 << 18, ...Array.from({ length: 8 }, () => 1 << 20)];

/** How many ids a layer of so many bytes takes. */
export const idsOfLayer = (bytes: number): number => Math.floor((bytes * 8) / BITS_PER_ID);

/** Ids that wait to be put into a layer together: one by one, with other work between them, each finds the layer gone from the processor's caches. */
const MAX_WAITING = 8192;
/** Room for so many at first. */
const FIRST_PLACES = 512;
/** Of a fingerprint only the second and third word say where its bits are. The first is left out, as a shard's ids have much of it in common (`slotOf`). */
const PLACE_WORDS = 2;

/**
 * Layers are stored once so many ids came since; until then these are stored as they are: a layer has up to a megabyte, most of whose
 * pages change with a few hundred ids, and a backfill makes several checkpoints a second.
 */
const MAX_JOURNAL = 8192;
/** The number under which the journal is stored: one blob of PLACE_WORDS words for each id. */
const JOURNAL_LAYER = -1;

/** JSON form beside the layers. Null stands for a filter that was given up. */
export type SeenState = {
  readonly scheme: number;
  /** In each layer as it is stored, the newest last. */
  readonly ids: readonly number[];
  /** In the journal; absent in states from before there was one. */
  readonly journal?: number;
} | null;

/** One layer, or the journal, as it is stored. */
export interface SeenLayer {
  readonly layer: number;
  readonly bits: Uint8Array;
}

interface Layer {
  readonly bits: Uint32Array;
  ids: number;
}

/**
 * Every id that was ever taken in, as a Bloom filter in layers: what it does not hold is surely new, whatever its time.
 *
 * It is complete or given up. Complete: no id was remembered without being added, since the storage began. Given up, for ever: when
 * its last layer is full, when ids came from elsewhere, or when it cannot be read back. Then, and for ids that only look known, the
 * caller looks in the store, so nothing but speed depends on it.
 */
export class SeenFilter {
  readonly #sizes: readonly number[];
  readonly #maxJournal: number;
  /** Null when given up. */
  #layers: Layer[] | null;
  /** Layers from this one on changed since layers were last taken. */
  #changedFrom: number;
  /** Ids in each layer when layers were last taken. */
  #storedIds: readonly number[] = [];
  /** Put into layers since then … */
  readonly #journal: Places;
  /** … and how many of them when something was last taken. */
  #takenIds = 0;
  /** Added, and in no layer yet. */
  readonly #waiting = new Places(MAX_WAITING);

  /** An empty, complete one: for storage that begins with it. */
  constructor(sizes: readonly number[] = LAYER_BYTES, maxJournal = MAX_JOURNAL) {
    this.#sizes = sizes;
    this.#maxJournal = maxJournal;
    // One more than is stored tells that there are too many.
    this.#journal = new Places(maxJournal + 1);
    this.#layers = [];
    this.#changedFrom = 0;
  }

  static givenUp(): SeenFilter {
    const filter = new SeenFilter();
    filter.giveUp();
    return filter;
  }

  /** As it was stored; given up unless every layer is there as it should be. @param state undefined where none was kept */
  static restore(
    state: SeenState | undefined,
    stored: Iterable<SeenLayer>,
    sizes: readonly number[] = LAYER_BYTES,
    maxJournal = MAX_JOURNAL,
  ): SeenFilter {
    const filter = new SeenFilter(sizes, maxJournal);
    if (state === undefined || state === null || state.scheme !== SCHEME) filter.giveUp();
    else filter.#restore(state, new Map(Array.from(stored, ({ layer, bits }) => [layer, bits])));
    return filter;
  }

  get isGivenUp(): boolean {
    this.#settle();
    return this.#layers === null;
  }

  get bytes(): number {
    return this.#layers?.reduce((sum, { bits }) => sum + bits.byteLength, 0) ?? 0;
  }

  /** True when the id with the fingerprint at `words[at]…` was surely never added. */
  isUnseen(words: Uint32Array, at: number): boolean {
    this.#settle();
    const [first, step] = [words[at + 1] ?? 0, words[at + 2] ?? 0];
    return this.#layers !== null && !this.#layers.some(({ bits }) => holds(bits, first, step));
  }

  /** Adding an id again changes nothing that matters. */
  add(words: Uint32Array, at: number): void {
    if (this.#layers === null) return;
    if (this.#waiting.isFull) this.#settle();
    this.#waiting.add(words[at + 1] ?? 0, words[at + 2] ?? 0);
  }

  /** From now on every id may have been seen. */
  giveUp(): void {
    this.#layers = null;
    this.#waiting.clear();
    this.#journal.clear();
  }

  /** What differs from storage: the journal, or the layers that changed, and the journal without what they hold. Views, to be stored at once. */
  takeChanged(): SeenLayer[] {
    this.#settle();
    if (this.#layers === null || this.#journal.size === this.#takenIds) return [];
    const layers = this.#journal.size > this.#maxJournal ? this.#takeLayers(this.#layers) : [];
    this.#takenIds = this.#journal.size;
    return [...layers, { layer: JOURNAL_LAYER, bits: this.#journal.bytes() }];
  }

  /** What belongs to what was last taken. */
  toJSON(): SeenState {
    return this.isGivenUp ? null : { scheme: SCHEME, ids: this.#storedIds, journal: this.#takenIds };
  }

  #takeLayers(layers: readonly Layer[]): SeenLayer[] {
    const from = this.#changedFrom;
    this.#changedFrom = layers.length;
    this.#storedIds = layers.map(({ ids }) => ids);
    this.#journal.clear();
    return layers.slice(from).map(({ bits }, k) => ({ layer: from + k, bits: new Uint8Array(bits.buffer) }));
  }

  /** Puts those that wait into layers. */
  #settle(): void {
    const { size } = this.#waiting;
    for (let k = 0; k < size && this.#layers !== null; k++) {
      const newest = this.#layerWithRoom(this.#layers);
      const [first, step] = [this.#waiting.word(k, 0), this.#waiting.word(k, 1)];
      if (newest === undefined) this.giveUp();
      else if (put(newest.bits, first, step)) {
        newest.ids++;
        if (this.#changedFrom >= this.#layers.length) this.#changedFrom = this.#layers.length - 1;
        if (!this.#journal.isFull) this.#journal.add(first, step);
      }
    }
    this.#waiting.clear();
  }

  #layerWithRoom(layers: Layer[]): Layer | undefined {
    const newest = layers.at(-1);
    if (newest !== undefined && newest.ids < idsOfLayer(newest.bits.byteLength)) return newest;
    const size = this.#sizes[layers.length];
    if (size === undefined) return undefined;
    const layer = { bits: new Uint32Array(size / 4), ids: 0 };
    layers.push(layer);
    return layer;
  }

  #restore({ ids, journal: noted = 0 }: NonNullable<SeenState>, stored: ReadonlyMap<number, Uint8Array>): void {
    const layers: Layer[] = [];
    const journal = stored.get(JOURNAL_LAYER) ?? new Uint8Array();
    if (journal.length !== noted * PLACE_WORDS * Uint32Array.BYTES_PER_ELEMENT) {
      this.giveUp();
      return;
    }
    for (const [layer, count] of ids.entries()) {
      const bytes = stored.get(layer);
      if (bytes === undefined || bytes.length !== this.#sizes[layer]) {
        this.giveUp();
        return;
      }
      layers.push({ bits: new Uint32Array(bytes.slice().buffer), ids: count });
    }
    this.#layers = layers;
    this.#changedFrom = layers.length;
    this.#storedIds = ids;
    this.#replay(journal);
  }

  #replay(journal: Uint8Array): void {
    const pairs = new Uint32Array(journal.slice().buffer);
    const words = new Uint32Array(1 + PLACE_WORDS);
    for (let at = 0; at < pairs.length; at += PLACE_WORDS) {
      words.set(pairs.subarray(at, at + PLACE_WORDS), 1);
      this.add(words, 0);
    }
    this.#settle();
    this.#takenIds = this.#journal.size;
  }
}

/** The PLACE_WORDS words of each of some ids, in a row. */
class Places {
  readonly #most: number;
  #words: Uint32Array;
  size = 0;

  constructor(most: number) {
    this.#most = most;
    this.#words = new Uint32Array(Math.min(most, FIRST_PLACES) * PLACE_WORDS);
  }

  get isFull(): boolean {
    return this.size >= this.#most;
  }

  add(first: number, step: number): void {
    const at = this.size * PLACE_WORDS;
    if (at === this.#words.length) {
      const grown = new Uint32Array(Math.min(this.#most * PLACE_WORDS, this.#words.length * 2));
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[at] = first;
    this.#words[at + 1] = step;
    this.size++;
  }

  word(k: number, word: number): number {
    return this.#words[k * PLACE_WORDS + word] ?? 0;
  }

  clear(): void {
    this.size = 0;
  }

  /** A view. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#words.buffer, 0, this.size * PLACE_WORDS * Uint32Array.BYTES_PER_ELEMENT);
  }
}

/** Places are the first one and so many steps from it: two independent hashes do as well as ten. */
function holds(bits: Uint32Array, first: number, by: number): boolean {
  const mask = bits.length * 32 - 1;
  const step = by | 1;
  let place = first | 0;
  for (let k = 0; k < PROBES; k++) {
    const bit = place & mask;
    if (((bits[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false;
    place = (place + step) | 0;
  }
  return true;
}

/** @returns true when a bit was not set before */
function put(bits: Uint32Array, first: number, by: number): boolean {
  const mask = bits.length * 32 - 1;
  const step = by | 1;
  let place = first | 0;
  let isChanged = false;
  for (let k = 0; k < PROBES; k++) {
    const bit = place & mask;
    const word = bits[bit >>> 5] ?? 0;
    const joined = (word | (1 << (bit & 31))) >>> 0;
    if (joined !== word) {
      bits[bit >>> 5] = joined;
      isChanged = true;
    }
    place = (place + step) | 0;
  }
  return isChanged;
}
