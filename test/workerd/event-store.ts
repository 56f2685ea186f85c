import { ColumnarBuilder, EventBatch } from "../../core/events/event-batch.ts";
import type { StreamEvent } from "../../core/events/event.ts";
import type { EventQuery } from "../../core/events/query.ts";
import { summarizeSegment } from "../../core/events/segment-summary.ts";
import { joinChunks, packChunk } from "../../storage/chunk.ts";
import { toHex } from "../../storage/d1/base64.ts";
import type { Segment, SegmentKey } from "../../storage/d1/segment-store.ts";

/** A tenant no other test uses. */
export const newTenant = (): string => `t-${crypto.randomUUID().slice(0, 13)}`;

/** An event with everything optional left out, unless given. Times are epoch ms. */
export function makeEvent(id: string, timestamp: number, fields: Partial<StreamEvent> = {}): StreamEvent {
  return {
    id,
    type: "page.view",
    source: "web",
    timestamp,
    receivedAt: timestamp,
    severity: "medium",
    data: {},
    metadata: {},
    ...fields,
  };
}

/** A segment as the aggregator would seal it, its events in chunks of `chunkEvents`. */
export async function makeSegment(
  key: SegmentKey,
  events: readonly StreamEvent[],
  chunkEvents = 1_000,
): Promise<Segment> {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < events.length; at += chunkEvents) {
    const builder = new ColumnarBuilder();
    for (const event of events.slice(at, at + chunkEvents)) builder.add(event);
    chunks.push(packChunk(builder.toText()));
  }
  const body = joinChunks(chunks);
  const hash = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", body)));
  return {
    ...key,
    ...summarizeSegment([EventBatch.fromEvents(events)]),
    seqTo: key.seqFrom + events.length,
    hash,
    body,
  };
}

const has = (list: readonly string[], value: string | undefined): boolean =>
  list.length === 0 || (value !== undefined && list.includes(value));

/** What a query must answer, found the slow way. */
export function bruteForce(events: readonly StreamEvent[], query: EventQuery): StreamEvent[] {
  const wanted = events.filter(
    (event) =>
      (query.fromMs === null || event.timestamp >= query.fromMs) &&
      (query.toMs === null || event.timestamp < query.toMs) &&
      has(query.types, event.type) &&
      has(query.sources, event.source) &&
      has(query.userIds, event.user_id) &&
      has(query.sessionIds, event.session_id) &&
      has(query.correlationIds, event.correlation_id) &&
      has(query.severities, event.severity) &&
      (query.tags.length === 0 || query.tags.some((tag) => event.tags?.includes(tag))),
  );
  const sign = query.order === "asc" ? 1 : -1;
  return wanted.sort((a, b) => sign * (a.timestamp - b.timestamp || (a.id < b.id ? -1 : 1)));
}
