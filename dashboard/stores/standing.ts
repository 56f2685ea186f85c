import { fields, instant, list, number, text } from "../live/decode.ts";

/** What one object of the tenant holds. */
export interface ShardStanding {
  readonly shard: number;
  readonly storedEvents: number;
  readonly duplicateEvents: number;
  readonly lateInbox: number;
  readonly unsealedEvents: number;
  readonly logEntries: number;
  readonly checkpointAgeSeconds: number;
  readonly idsRemembered: number;
  readonly databaseBytes: number;
  readonly aggregations: readonly AggregationStanding[];
}

/** How far an aggregation is, and what keeps it from being further. */
export interface AggregationStanding {
  readonly name: string;
  /** Epoch ms; null before its first event. */
  readonly watermarkMs: number | null;
  /** The source that holds the watermark; empty when none does. */
  readonly heldBy: string;
  readonly lagSeconds: number | null;
  readonly lateEvents: number;
  readonly openWindows: number;
  readonly openGroups: number;
  readonly bytes: number;
}

/** Read the answer of `GET /api/v1/introspection`. */
export function decodeStanding(data: unknown): ShardStanding[] {
  return list(fields(data)?.["shards"], decodeShard);
}

function decodeShard(value: unknown): ShardStanding | null {
  const found = fields(value);
  if (found === null) return null;
  const log = fields(found["log"]) ?? {};
  return {
    shard: number(found["shard"]),
    storedEvents: number(found["stored_events"]),
    duplicateEvents: number(found["duplicate_events"]),
    lateInbox: number(found["late_inbox"]),
    unsealedEvents: number(log["unsealed_events"]),
    logEntries: number(log["entries"]),
    checkpointAgeSeconds: number(fields(found["checkpoint"])?.["age_seconds"]),
    idsRemembered: number(fields(found["ids"])?.["remembered"]),
    databaseBytes: number(found["database_bytes"]),
    aggregations: list(found["aggregations"], decodeAggregation),
  };
}

function decodeAggregation(value: unknown): AggregationStanding | null {
  const found = fields(value);
  const name = text(found?.["name"]);
  if (found === null || name === "") return null;
  return {
    name,
    watermarkMs: instant(found["watermark"]),
    heldBy: text(found["held_by"]),
    lagSeconds: typeof found["lag_seconds"] === "number" ? found["lag_seconds"] : null,
    lateEvents: number(found["late_events"]),
    openWindows: number(found["open_windows"]),
    openGroups: number(found["open_groups"]),
    bytes: number(found["bytes"]),
  };
}
