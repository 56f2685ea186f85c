import { blob, index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";

/*
 * Every row written to D1 is paid for, and each secondary index is one more row per write. So: no rowid tables with a
 * separate key index (the migration makes them WITHOUT ROWID, which drizzle cannot say) and no index that a query does
 * not need. All times are epoch ms.
 */

/**
 * What a query needs to know to skip a sealed segment, without its body. A row stays under SQLite's 1,002 bytes for an
 * index page's cell, so that reading 10,000 of them follows no overflow pages; `filter` is last because it is the one
 * that would spill.
 */
export const segmentIndex = sqliteTable(
  "segment_index",
  {
    tenant: text().notNull(),
    /** Timestamp of the segment's newest event. In the key, so that newest-first reading is a range of the table. */
    max_ts: integer().notNull(),
    shard: integer().notNull(),
    /** One life of the aggregator object's storage; sequences never restart within it. */
    incarnation: text().notNull(),
    /** First sequence number in the segment. */
    seq_from: integer().notNull(),
    /** One past the last sequence number. */
    seq_to: integer().notNull(),
    events: integer().notNull(),
    min_ts: integer().notNull(),
    /** Body size before base64, to load bodies in groups of bounded size. */
    bytes: integer().notNull(),
    sealed_at: integer().notNull(),
    /** JSON array of the event types inside; null when the list was too long, and then `filter` holds them. */
    types: text(),
    /** JSON array of the sources inside; null as for types. */
    sources: text(),
    /** Bloom filter over ids of users, sessions and correlations, tags and severities (core/events/bloom.ts). */
    filter: blob({ mode: "buffer" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenant, table.max_ts, table.shard, table.incarnation, table.seq_from] })],
);

/** The events of a segment. `body` is base64 text: binary crosses the D1 binding as an array of numbers, ten times slower. */
export const segmentBodies = sqliteTable(
  "segment_bodies",
  {
    tenant: text().notNull(),
    shard: integer().notNull(),
    incarnation: text().notNull(),
    seq_from: integer().notNull(),
    seq_to: integer().notNull(),
    /** Hex SHA-256 of the body, compared when the same segment is sealed again. */
    hash: text().notNull(),
    body: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenant, table.shard, table.incarnation, table.seq_from] })],
);

/** Queue messages that could not be processed, kept until they are replayed. */
export const deadLetters = sqliteTable(
  "dead_letters",
  {
    tenant: text().notNull(),
    /** The queue's id of the dead letter, so that a redelivery writes the same row. */
    id: text().notNull(),
    /** `events` (an event message), `notification` or `unreadable`. */
    kind: text().notNull(),
    reason: text().notNull(),
    /** Deliveries the dead-letter queue itself needed; how often the first queue tried is not told. */
    attempts: integer().notNull(),
    /** Events in the message; 0 when it is none. */
    events: integer().notNull(),
    created_at: integer().notNull(),
    /** JSON of what is needed to send the message again, binary parts as base64. */
    body: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenant, table.id] })],
);

export const tenants = sqliteTable("tenants", {
  id: text().primaryKey(),
  name: text().notNull(),
  created_at: integer().notNull(),
});

/** Credentials. Only the hash of the secret is kept. */
export const apiKeys = sqliteTable(
  "api_keys",
  {
    id: text().primaryKey(),
    tenant: text().notNull(),
    name: text().notNull(),
    role: text({ enum: ["ingest", "viewer", "editor", "admin"] }).notNull(),
    /** Hex SHA-256 of the whole key. */
    hash: text().notNull(),
    created_at: integer().notNull(),
    last_used_at: integer(),
    revoked_at: integer(),
  },
  (table) => [index("api_keys_by_tenant").on(table.tenant)],
);
