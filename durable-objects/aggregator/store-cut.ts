/**
 * Which stored events lie before a cut: those that home had counted or merged at one moment.
 *
 * Problem: with several shards, the store holds events that a shard has sealed and home has not merged yet. A recount that read them
 * would count them again when their delta comes.
 * Rule: at the moment of the cut home notes how far it has merged each shard's log, and from then on what it merges goes into the
 * recount as well. Each shard is then asked what of its log lies before home's place but is not sealed, and what lies after it
 * but is. A shard's log keeps everything that home has not merged, so it can always tell; if home's place has moved on
 * meanwhile and the log was trimmed, it cannot, and the cut is made anew.
 */
import { joinChunks } from "../../storage/chunk.ts";
import type { StoredSegment } from "../../storage/d1/segment-search.ts";
import { repack } from "./chunk-log.ts";
import type { Shard } from "./shard.ts";
import { lifeOf } from "../../core/windows/shard-cursors.ts";

/** Events that one answer may hold: with more the shard is far behind, and a recount can wait. */
const MAX_EVENTS = 50_000;

/** A place in the log of one life of a shard. */
export interface LogPlace {
  readonly incarnation: string;
  /** Every event before this sequence number is meant. */
  readonly seq: number;
}

/** What a shard has beside what is sealed before a place of its log. */
export interface ShardCut {
  readonly shard: number;
  readonly incarnation: string;
  /** Segments from this sequence number on hold nothing from before the cut that is not in `unsealed`. */
  readonly sealedThrough: number;
  /** Joined chunks: events before the place that are not sealed. */
  readonly unsealed: Uint8Array;
  /** Ids of events after the place that are sealed. */
  readonly after: readonly string[];
}

/**
 * @param places home's, in any life of this shard
 * @throws Error when the log no longer reaches back to the place, or too much of it is in question
 */
export function cutOf({ owner, log, sealer, readLog }: Shard, places: readonly LogPlace[]): ShardCut {
  const place = places.find(({ incarnation }) => incarnation === owner.incarnation)?.seq ?? 0;
  const { sealedThrough } = sealer;
  const [from, to] = [Math.min(place, sealedThrough), Math.max(place, sealedThrough)];
  if (to - from > MAX_EVENTS) throw new Error(`${to - from} events of shard ${owner.shard} are in question`);
  const chunks: Uint8Array[] = [];
  const after: string[] = [];
  let seq = from;
  for (const { batch, rows } of from < to && from < log.nextSeq ? readLog(from) : []) {
    const wanted = rows.subarray(0, Math.max(0, to - seq));
    if (wanted.length === 0) break;
    if (place > sealedThrough) chunks.push(repack(batch, wanted));
    else for (const row of wanted) after.push(batch.ids[row] ?? "");
    seq += rows.length;
  }
  return { shard: owner.shard, incarnation: owner.incarnation, sealedThrough, unsealed: joinChunks(chunks), after };
}

/** A cut through the logs of a tenant's objects. */
export class StoreCut {
  readonly #cuts = new Map<string, { readonly sealedThrough: number; readonly after: ReadonlySet<string> }>();
  /** Lives of shards that home had merged something of: those no longer in use are sealed and merged as a whole. */
  readonly #merged: ReadonlySet<string>;

  constructor(cuts: readonly Omit<ShardCut, "unsealed">[], merged: readonly { shard: number; incarnation: string }[]) {
    for (const { shard, incarnation, sealedThrough, after } of cuts)
      this.#cuts.set(lifeOf(shard, incarnation), { sealedThrough, after: new Set(after) });
    this.#merged = new Set(merged.map(({ shard, incarnation }) => lifeOf(shard, incarnation)));
  }

  /** True when a segment holds something from before the cut. */
  includes({ shard, incarnation, seqFrom }: StoredSegment): boolean {
    const name = lifeOf(shard, incarnation);
    const cut = this.#cuts.get(name);
    return cut === undefined ? this.#merged.has(name) : seqFrom < cut.sealedThrough;
  }

  /** Ids in such a segment that came after the cut nevertheless. */
  after({ shard, incarnation }: StoredSegment): ReadonlySet<string> {
    return this.#cuts.get(lifeOf(shard, incarnation))?.after ?? NONE;
  }
}

const NONE: ReadonlySet<string> = new Set();
