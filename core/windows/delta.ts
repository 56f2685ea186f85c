/**
 * What a shard counted of a stretch of its log, for home to merge: a delta.
 *
 * Problem: the same event must not count twice however often a delta is sent, and none may be missed, without a row per event.
 * Rule: a delta covers the sequence numbers [from, to) of one life of the shard's log. Home keeps its place in that log with its
 * windows, and takes a delta only if it begins there. So the log is the outbox: what is not merged yet is counted again from it.
 * Why not replacement of whole windows by version: a shard would have to keep every window, closed ones too, to send it again.
 */
import { ByteReader, ByteWriter, CorruptStateError } from "../bytes.ts";
import { CorruptBatchError, EventBatch } from "../events/event-batch.ts";
import type { OverviewCounts } from "../live/overview-meter.ts";
import type { Part } from "./aggregation.ts";
import { readOverview, readStats, writeOverview, writeStats } from "./delta-counts.ts";
import type { Fragment } from "./fragment.ts";
import type { Plan } from "./plan.ts";
import type { ShardTotals } from "./shard-cursors.ts";
import type { SourceMark } from "./source-marks.ts";
import type { EventStats } from "./store-stats.ts";

/** Which delta it is, readable without knowing the definitions. */
export interface DeltaHead {
  readonly shard: number;
  readonly incarnation: string;
  /** Sequence number of its first event. */
  readonly from: number;
  /** Sequence number after its last event; `from` when it brings nothing but totals. */
  readonly to: number;
  /** Of the definitions it was counted by. */
  readonly epoch: string;
  /** As of `to`. */
  readonly totals: ShardTotals;
}

export interface DeltaPart {
  readonly aggregation: number;
  readonly part: Part;
}

/** A delta without what it brings to windows: readable whatever definitions there are. */
export interface DeltaNews extends DeltaHead {
  readonly stats: EventStats;
  readonly sources: readonly SourceMark[];
  readonly overview: OverviewCounts;
  /** Its last events, as many as live readers are shown, in the columnar text; "" for none. */
  readonly latest: string;
}

export interface Delta extends DeltaNews {
  readonly parts: readonly DeltaPart[];
}

const VERSION = 1;

export function encodeDelta(delta: Delta): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  into.u8(VERSION);
  writeHead(into, delta);
  writeStats(into, delta.stats);
  into.varint(delta.sources.length);
  for (const { name, newest, lastReceived } of delta.sources) {
    into.string(name);
    into.f64(newest);
    into.f64(lastReceived);
  }
  writeOverview(into, delta.overview);
  into.string(delta.latest);
  into.varint(delta.parts.length);
  for (const { aggregation, part } of delta.parts) {
    into.varint(aggregation);
    into.bytes(encodePart(part));
  }
  return into.toUint8Array();
}

/** @throws CorruptStateError */
export function decodeDeltaHead(bytes: Uint8Array): DeltaHead {
  return readHead(new ByteReader(bytes));
}

/** @throws CorruptStateError */
export function decodeDeltaNews(bytes: Uint8Array): DeltaNews {
  return readNews(new ByteReader(bytes));
}

/**
 * @param planOf the plan of an aggregation of the delta's definitions; null for one that is of no interest
 * @throws CorruptStateError when `encodeDelta` did not write it, or not for these plans
 */
export function decodeDelta(bytes: Uint8Array, planOf: (aggregation: number) => Plan | null | undefined): Delta {
  const from = new ByteReader(bytes);
  const news = readNews(from);
  const parts = from.list(() => {
    const aggregation = from.varint();
    const plan = planOf(aggregation);
    if (plan === undefined) throw new CorruptStateError(`no aggregation ${aggregation}`);
    const part = from.bytes();
    return plan === null ? null : { aggregation, part: decodePart(part, plan, news.stats.total) };
  });
  from.end();
  return { ...news, parts: parts.filter((part) => part !== null) };
}

/** What was counted apart of one aggregation, by itself. */
export function encodePart({ lateEvents, filterErrors, fragments }: Part): Uint8Array {
  const into = new ByteWriter();
  into.varint(lateEvents);
  into.varint(filterErrors);
  const list = [...fragments];
  into.varint(list.length);
  for (const { first, last, group } of list) {
    into.signedVarint(first);
    into.varint(last - first);
    into.string(group.key);
    for (const accumulator of group.accumulators) accumulator.encode(into);
  }
  return into.toUint8Array();
}

/**
 * @param events how many events it was counted from, at most
 * @throws CorruptStateError when `encodePart` did not write it, or not for this plan
 */
export function decodePart(bytes: Uint8Array, { measures, shape }: Plan, events: number): Part {
  const from = new ByteReader(bytes);
  const lateEvents = from.varint();
  const filterErrors = from.varint();
  const fragments = from.list((): Fragment => {
    const first = from.signedVarint();
    const last = first + from.varint();
    // A longer one would be searched for in pages without end.
    const longest = shape.type === "session" ? (events - 1) * (shape.gapMs - 1) : 0;
    if (last - first > longest) throw new CorruptStateError(`${events} events do not reach from ${first} to ${last}`);
    const key = from.string();
    return { first, last, group: { key, accumulators: measures.map(({ measure }) => measure.decode(from)) } };
  });
  from.end();
  return { lateEvents, filterErrors, fragments };
}

function writeHead(into: ByteWriter, { shard, incarnation, from, to, epoch, totals }: DeltaHead): void {
  into.varint(shard);
  into.string(incarnation);
  into.varint(from);
  into.varint(to - from);
  into.string(epoch);
  into.varint(totals.applied);
  into.varint(totals.duplicates);
  into.varint(totals.storedBytes);
}

function readHead(reader: ByteReader): DeltaHead {
  reader.version(VERSION, "delta");
  const shard = reader.varint();
  const incarnation = reader.string();
  const from = reader.varint();
  const to = from + reader.varint();
  const epoch = reader.string();
  const totals = { applied: reader.varint(), duplicates: reader.varint(), storedBytes: reader.varint() };
  return { shard, incarnation, from, to, epoch, totals };
}

function readNews(from: ByteReader): DeltaNews {
  const head = readHead(from);
  const stats = readStats(from);
  if (stats.total !== head.to - head.from) throw new CorruptStateError(`${stats.total} events in a delta`);
  const sources = from.list(() => ({ name: from.string(), newest: finite(from), lastReceived: finite(from) }));
  const overview = readOverview(from);
  const latest = from.string();
  if (latest !== "") assertBatch(latest);
  return { ...head, stats, sources, overview, latest };
}

function finite(from: ByteReader): number {
  const value = from.f64();
  if (!Number.isFinite(value)) throw new CorruptStateError("a time is not finite");
  return value;
}

function assertBatch(text: string): void {
  try {
    const batch = EventBatch.fromText(text);
    for (let row = 0; row < batch.length; row++) batch.event(row);
  } catch (cause) {
    if (cause instanceof CorruptBatchError) throw new CorruptStateError("the latest events cannot be read", { cause });
    throw cause;
  }
}
