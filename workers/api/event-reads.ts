import { ALL_EVENTS, type EventQuery } from "../../core/events/query.ts";
import type { StreamEvent } from "../../core/events/event.ts";
import { findEvent } from "../../core/events/lookup.ts";
import { type Page, type PageRequest, readPage, TooManySegmentsError } from "../../core/events/page.ts";
import { fittingPage } from "../../core/events/page-bytes.ts";
import type { Tail } from "../../core/events/segments.ts";
import { uuidv7Time } from "../../core/events/uuid.ts";
import { HOME } from "../../core/windows/slot-map.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { segmentSource } from "../../storage/d1/segment-reader.ts";
import { ApiError } from "../http.ts";

/** How far the timestamp of a producer's event may reasonably be from the time in the UUIDv7 he gave it. */
const NEAR_MS = 60 * 60_000;

/** A page over everything the tenant has, sealed or not. @throws ApiError `unprocessable` when too many segments overlap */
export async function eventPage(env: Env, tenant: string, request: PageRequest): Promise<Page> {
  const tails = await readTails(env, tenant, request);
  try {
    return fittingPage(await readPage(request, tails, segmentSource(env.DB, tenant, request.query, request.after)));
  } catch (error) {
    if (!(error instanceof TooManySegmentsError)) throw error;
    throw new ApiError(
      "unprocessable",
      `The query cannot go on: ${error.message}. Add a filter that fewer segments pass.`,
    );
  }
}

/**
 * The tenant's event of this id, or null when there is none.
 *
 * An id that is a UUIDv7 says where to look first. Any other is looked for in all segments, the newest first.
 * @param range where to look, when the caller knows: epoch ms [from, to)
 * @throws ApiError `unavailable` when more segments would have to be read than one request may
 */
export async function eventById(
  env: Env,
  tenant: string,
  id: string,
  range: Pick<EventQuery, "fromMs" | "toMs">,
): Promise<StreamEvent | null> {
  const query = { ...ALL_EVENTS, ...range, ids: [id] };
  // The tails first: what is sealed meanwhile is then in the segments as well, never in neither.
  const tails = await readTails(env, tenant, { query, after: null, limit: 1 });
  const unsealed = tails.flatMap(({ events }) => events)[0];
  if (unsealed !== undefined) return unsealed;
  const sources = likelyRanges(id, range).map((likely) => segmentSource(env.DB, tenant, { ...query, ...likely }, null));
  const found = await findEvent(id, sources);
  if (found.event !== null) return found.event;
  if (found.isComplete) return null;
  throw new ApiError(
    "unavailable",
    "The event is not among the newest segments, and one request cannot read them all. Say when it happened with ?from= and ?to=.",
  );
}

/** Platform-made ids carry the event's own timestamp; a producer's carry the time they were made. */
function likelyRanges(id: string, range: Pick<EventQuery, "fromMs" | "toMs">): Pick<EventQuery, "fromMs" | "toMs">[] {
  const at = uuidv7Time(id);
  if (at === null || range.fromMs !== null || range.toMs !== null) return [range];
  return [{ fromMs: at, toMs: at + 1 }, { fromMs: at - NEAR_MS, toMs: at + NEAR_MS }, range];
}

/**
 * What is not sealed yet, of every object that may hold some: home says which these are. One event more than the page holds tells
 * whether a tail goes on.
 */
async function readTails(env: Env, tenant: string, { query, after, limit }: PageRequest): Promise<Tail[]> {
  const { others, ...home } = await windowAggregator(env, tenant).readTail(query, after, limit + 1);
  const tails = others.map(async (shard): Promise<Tail> => {
    const { others: _, ...tail } = await windowAggregator(env, tenant, shard).readTail(query, after, limit + 1);
    return { shard, ...tail };
  });
  return [{ shard: HOME, ...home }, ...(await Promise.all(tails))];
}
