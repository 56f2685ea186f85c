import type { SegmentSummary } from "../../core/events/segment-summary.ts";
import { toBase64, toHex } from "./base64.ts";
import { groupBySize } from "./groups.ts";

/** Which segment: a shard's stretch of log, whose sequence numbers never restart within an incarnation. */
export interface SegmentKey {
  readonly tenant: string;
  readonly shard: number;
  readonly incarnation: string;
  readonly seqFrom: number;
}

/** A sealed stretch of a shard's log: its key, what its index row says, and its events. */
export interface Segment extends SegmentKey, SegmentSummary {
  /** Exclusive. */
  readonly seqTo: number;
  /** Hex SHA-256 of `body`. */
  readonly hash: string;
  /** `joinChunks` of packed chunks; at most `MAX_BODY_BYTES`. */
  readonly body: Uint8Array;
}

/** D1 refuses rows over 2,000,000 bytes, and base64 adds a third. */
export const MAX_BODY_BYTES = 1_400_000;
/** Segments and bytes of body in one `batch()`, which is one transaction and may take 30 s at most. */
const SEGMENTS_PER_BATCH = { maxItems: 20, maxBytes: 3_000_000 };

/** The segment was stored before, with other events: sealing must be repeatable, so something is badly wrong. */
export class SegmentConflictError extends Error {
  override readonly name = "SegmentConflictError";
  constructor({ tenant, shard, incarnation, seqFrom }: SegmentKey) {
    super(`segment ${tenant}/${shard}/${incarnation}/${seqFrom} is already stored with other contents`);
  }
}

const INSERT_BODY = `
  insert into segment_bodies (tenant, shard, incarnation, seq_from, seq_to, hash, body)
  values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
  on conflict do nothing`;

// Only beside a body with the same contents: a conflicting segment must not get into the index either.
const INSERT_INDEX = `
  insert into segment_index
    (tenant, shard, incarnation, seq_from, seq_to, max_ts, min_ts, events, bytes, sealed_at, types, sources, filter)
  select ?1, ?2, ?3, ?4, ?5, ?7, ?8, ?9, ?10, ?11, ?12, ?13, unhex(?14)
  where exists (
    select 1 from segment_bodies
    where tenant = ?1 and shard = ?2 and incarnation = ?3 and seq_from = ?4 and seq_to = ?5 and hash = ?6
  )
  on conflict do nothing`;

const SELECT_HASH = `
  select seq_to, hash from segment_bodies where tenant = ?1 and shard = ?2 and incarnation = ?3 and seq_from = ?4`;

/**
 * Stores segments; those that are already there are left alone, so it can be called again after any failure.
 * Two rows are written for each new segment.
 * @param sealedAt epoch ms
 * @throws SegmentConflictError when one is already there with other contents; all others are stored then
 * @throws RangeError when a body is too large; then none is stored
 */
export async function writeSegments(
  db: D1Database,
  segments: readonly Segment[],
  sealedAt: number,
): Promise<{ rowsWritten: number }> {
  for (const { body } of segments) {
    if (body.byteLength > MAX_BODY_BYTES) throw new RangeError(`a segment body of ${body.byteLength} bytes`);
  }
  let rowsWritten = 0;
  const present: Segment[] = [];
  for (const group of groupBySize(segments, ({ body }) => body.byteLength, SEGMENTS_PER_BATCH)) {
    const results = await db.batch(group.flatMap((segment) => insertStatements(db, segment, sealedAt)));
    rowsWritten += results.reduce((sum, { meta }) => sum + meta.rows_written, 0);
    present.push(...group.filter((_, k) => results[2 * k]?.meta.changes === 0));
  }
  for (const segment of present) await assertSameContents(db, segment);
  return { rowsWritten };
}

function insertStatements(
  db: D1Database,
  segment: Segment,
  sealedAt: number,
): [D1PreparedStatement, D1PreparedStatement] {
  const { tenant, shard, incarnation, seqFrom, seqTo, hash, body } = segment;
  const key = [tenant, shard, incarnation, seqFrom, seqTo, hash];
  const { maxTimestamp, minTimestamp, events, types, sources, filter } = segment;
  const summary = [
    maxTimestamp,
    minTimestamp,
    events,
    body.byteLength,
    sealedAt,
    listText(types),
    listText(sources),
    toHex(filter),
  ];
  return [db.prepare(INSERT_BODY).bind(...key, toBase64(body)), db.prepare(INSERT_INDEX).bind(...key, ...summary)];
}

const listText = (list: readonly string[] | null): string | null => (list === null ? null : JSON.stringify(list));

async function assertSameContents(db: D1Database, segment: Segment): Promise<void> {
  const { tenant, shard, incarnation, seqFrom, seqTo, hash } = segment;
  const stored = await db
    .prepare(SELECT_HASH)
    .bind(tenant, shard, incarnation, seqFrom)
    .first<{ seq_to: number; hash: string }>();
  if (stored?.hash !== hash || stored.seq_to !== seqTo) throw new SegmentConflictError(segment);
}
