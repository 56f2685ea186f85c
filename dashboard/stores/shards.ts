import { fields, list, number, text } from "../live/decode.ts";

/** How the tenant's events are spread over objects. */
export interface Spread {
  readonly count: number;
  /** `auto`, or `manual` after somebody chose. */
  readonly mode: string;
  readonly isMoving: boolean;
  readonly objects: readonly ShardLoad[];
}

/** What one object takes. */
export interface ShardLoad {
  readonly object: number;
  readonly slots: number;
  readonly eventsPerSecond: number;
  readonly overloads: number;
}

/** Read the answer of `GET /api/v1/shards`. */
export function decodeSpread(data: unknown): Spread {
  const found = fields(data) ?? {};
  return {
    count: number(found["count"], 1),
    mode: text(found["mode"]),
    isMoving: found["moving"] === true,
    objects: list(found["objects"], decodeLoad),
  };
}

function decodeLoad(value: unknown): ShardLoad | null {
  const found = fields(value);
  if (found === null) return null;
  return {
    object: number(found["object"]),
    slots: number(found["slots"]),
    eventsPerSecond: number(found["events_per_second"]),
    overloads: number(found["overloads"]),
  };
}
