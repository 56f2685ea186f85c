import { env } from "cloudflare:workers";
import { Candidates } from "../../core/events/candidates.ts";
import { EventBatch } from "../../core/events/event-batch.ts";
import type { StreamEvent } from "../../core/events/event.ts";
import { type Page, readPage, type WorkBudget } from "../../core/events/page.ts";
import type { Cursor, EventQuery } from "../../core/events/query.ts";
import type { Tail } from "../../core/events/segments.ts";
import { segmentSource } from "../../storage/d1/segment-reader.ts";
import { writeSegments } from "../../storage/d1/segment-store.ts";
import { makeSegment, newTenant } from "./event-store.ts";

export const T0 = Date.UTC(2026, 10, 22);
const INCARNATION = "life-1";

/** One shard's log: what is sealed lies in D1, the rest is its tail. Nothing here looks at times when it cuts segments. */
export class Shard {
  readonly tenant: string;
  readonly log: StreamEvent[] = [];
  sealedThrough = 0;

  constructor(tenant: string) {
    this.tenant = tenant;
  }

  async seal(count: number): Promise<void> {
    const events = this.log.slice(this.sealedThrough, this.sealedThrough + count);
    if (events.length === 0) return;
    const key = { tenant: this.tenant, shard: 0, incarnation: INCARNATION, seqFrom: this.sealedThrough };
    await writeSegments(env.DB, [await makeSegment(key, events, 7)], T0);
    this.sealedThrough += events.length;
  }

  tail(query: EventQuery, after: Cursor | null, limit: number): Tail {
    const candidates = new Candidates(query, after, limit + 1);
    candidates.add(EventBatch.fromEvents(this.log.slice(this.sealedThrough)));
    return { shard: 0, incarnation: INCARNATION, sealedThrough: this.sealedThrough, events: candidates.events };
  }

  async page(query: EventQuery, after: Cursor | null, limit: number, budget?: WorkBudget): Promise<Page> {
    const source = segmentSource(env.DB, this.tenant, query, after);
    return readPage({ query, after, limit }, [this.tail(query, after, limit)], source, budget);
  }
}

/** Follows the cursor to the end, or to far more pages than there can be. */
export async function readAll(
  shard: Shard,
  query: EventQuery,
  limit: number,
  budget?: WorkBudget,
): Promise<{ ids: string[]; pages: Page[] }> {
  const pages: Page[] = [];
  let after: Cursor | null = null;
  do {
    const page: Page = await shard.page(query, after, limit, budget);
    pages.push(page);
    after = page.next;
  } while (after !== null && pages.length < 500);
  return { ids: pages.flatMap(({ events }) => events.map(({ id }) => id)), pages };
}

/** A shard with this log, of which segments of these sizes are sealed. */
export async function makeShard(log: readonly StreamEvent[], sizes: readonly number[]): Promise<Shard> {
  const shard = new Shard(newTenant());
  shard.log.push(...log);
  for (const size of sizes) await shard.seal(size);
  return shard;
}
