import { createHash } from "node:crypto";
import { uuidv7 } from "../../core/events/uuid.ts";
import { ApiError } from "../http.ts";

const MAX_IDEMPOTENCY_KEY_LENGTH = 255;
/** Hex digits of the hash in an id: with the index it stays below the 64 characters of an id. */
const KEY_DIGITS = 48;
const UUID_BYTES = 16;
/** Random bytes fetched at once: a call per event would be most of an id's cost. */
const POOL_BYTES = 512 * UUID_BYTES;

/** Makes the ids of events that come without one. */
export interface EventIds {
  readonly newId: (timestampMs: number, index: number) => string;
  /** True when the same request sent again gets the same ids. */
  readonly isRepeatable: boolean;
}

/** UUIDv7 of each event's own timestamp. */
export function randomIds(): EventIds {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  const newId = (timestampMs: number): string => {
    if (used === POOL_BYTES) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    const id = uuidv7(timestampMs, pool, used);
    used += UUID_BYTES;
    return id;
  };
  return { newId, isRepeatable: false };
}

/** Ids from tenant, Idempotency-Key and index, so that a request sent again adds nothing. One hash a request. */
function repeatableIds(tenant: string, idempotencyKey: string): EventIds {
  const digest = createHash("sha256")
    .update(JSON.stringify([tenant, idempotencyKey]))
    .digest("hex")
    .slice(0, KEY_DIGITS);
  return { newId: (_timestampMs, index) => `idem-${digest}-${index}`, isRepeatable: true };
}

/** The ids a request asks for. @throws ApiError `bad_request` for an Idempotency-Key that is empty or too long */
export function idsFor(request: Request, tenant: string): EventIds {
  const key = request.headers.get("Idempotency-Key");
  if (key === null) return randomIds();
  if (key.length > 0 && key.length <= MAX_IDEMPOTENCY_KEY_LENGTH) return repeatableIds(tenant, key);
  throw new ApiError("bad_request", `Idempotency-Key must be 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH} characters.`, {
    field: "Idempotency-Key",
    reason: key.length === 0 ? "empty" : "too_long",
  });
}
