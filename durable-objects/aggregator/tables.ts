import type { LoadWindows } from "../../core/windows/aggregation.ts";
import type { SeenLayer } from "../../core/windows/seen-filter.ts";
import type { DirtyRecord } from "../../core/windows/window-set.ts";

const LOG_KINDS = ["events", "late", "tick", "delta", "delta_part"] as const;

/** Events as they came from the queue, late events found to be new, an idle check, or a shard's delta: its parts and then the last of them. */
export type LogKind = (typeof LOG_KINDS)[number];

/** What is known of a packed chunk without opening it. Times are epoch ms. */
export interface ChunkHead {
  readonly events: number;
  readonly bytes: number;
  readonly minTimestamp: number;
  readonly maxTimestamp: number;
}

/** What is known of a log entry without reading its body. */
export interface LogHead {
  readonly entry: number;
  readonly kind: LogKind;
  /** Sequence number of the first event. */
  readonly seq: number;
  readonly events: number;
  /** Epoch ms. */
  readonly at: number;
  /** In the order of the body; undefined in entries that were written before heads were kept. */
  readonly chunks: readonly ChunkHead[] | undefined;
}

/** One committed call or idle check, as the log keeps it. */
export interface LogEntry extends LogHead {
  /** `joinChunks` of packed chunks; a part of a delta; empty for a tick. */
  readonly body: Uint8Array;
}

const SCHEMA = [
  // Each table is its own primary key, so that a row written is one row billed.
  `create table if not exists meta (key text primary key, value text not null) without rowid`,
  `create table if not exists log (entry integer primary key, kind text not null, seq integer not null, events integer not null, at integer not null, chunks text, body blob not null)`,
  `create table if not exists late_inbox (entry integer primary key, events integer not null, body blob not null)`,
  `create table if not exists windows (aggregation integer not null, start integer not null, part integer not null, body blob not null, primary key (aggregation, start, part)) without rowid`,
  `create table if not exists ids (page integer primary key, body blob not null)`,
  `create table if not exists seen (layer integer primary key, body blob not null)`,
  `create table if not exists definitions (id integer primary key, version integer not null, body text not null, created_at integer not null)`,
  `create table if not exists past_versions (id integer primary key, name text not null, version integer not null, body text not null, state text not null, retired_at integer not null)`,
  `create table if not exists rebuilds (id integer primary key, body text not null)`,
];

/** What a statement may be given (developers.cloudflare.com/durable-objects/platform/limits). */
const MAX_BINDINGS = 100;
const WINDOW_COLUMNS = 4;

/** Small facts about the object, one row each. */
export type MetaTable = Pick<ShardTables, "readMeta" | "writeMeta">;

/** The SQL of a WindowAggregator: every statement it runs, and a count of the rows they wrote (each is billed). */
export class ShardTables {
  rowsWritten = 0;
  /** Of windows: one for most, one for each changed page of a window of many groups. */
  windowRowsWritten = 0;
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    for (const statement of SCHEMA) sql.exec(statement);
    const columns = sql.exec<{ name: string }>("select name from pragma_table_info('log')").toArray();
    if (!columns.some(({ name }) => name === "chunks")) sql.exec("alter table log add column chunks text");
  }

  get databaseBytes(): number {
    return this.#sql.databaseSize;
  }

  readMeta(key: string): unknown {
    const row = this.#sql.exec<{ value: string }>("select value from meta where key = ?", key).toArray()[0];
    return row === undefined ? undefined : JSON.parse(row.value);
  }

  writeMeta(key: string, value: unknown): void {
    this.#run(
      "insert into meta (key, value) values (?, ?) on conflict (key) do update set value = excluded.value",
      key,
      JSON.stringify(value),
    );
  }

  /** Entry numbers are the caller's: left to SQLite they would start again at 1 once the log is empty. */
  appendLog({ entry, kind, seq, events, at, chunks, body }: LogEntry): void {
    this.#run(
      "insert into log (entry, kind, seq, events, at, chunks, body) values (?, ?, ?, ?, ?, ?, ?)",
      entry,
      kind,
      seq,
      events,
      at,
      chunksText(chunks ?? []),
      body,
    );
  }

  /** Entries up to `throughEntry`, oldest first, without their bodies: SQLite does not even read those from disk. */
  *logHeads(throughEntry: number): IterableIterator<LogHead> {
    for (const row of this.#sql.exec<HeadRow>(
      "select entry, kind, seq, events, at, chunks from log where entry <= ? order by entry",
      throughEntry,
    ))
      yield headOf(row);
  }

  /** Entries after `entry`, oldest first; bodies are read one at a time. */
  *logAfter(entry: number): IterableIterator<LogEntry> {
    for (const row of this.#sql.exec<LogRow>(
      "select entry, kind, seq, events, at, chunks, body from log where entry > ? order by entry",
      entry,
    ))
      yield { ...headOf(row), body: new Uint8Array(row.body) };
  }

  /** Entries with events from sequence number `seq` on, oldest first; bodies are read one at a time. */
  *logFrom(seq: number): IterableIterator<LogEntry> {
    for (const row of this.#sql.exec<LogRow>(
      "select entry, kind, seq, events, at, chunks, body from log where seq + events > ? and events > 0 order by entry",
      seq,
    ))
      yield { ...headOf(row), body: new Uint8Array(row.body) };
  }

  /** The first entry with events from sequence number `seq` on, or null. */
  entryOf(seq: number): number | null {
    const row = this.#sql
      .exec<{ entry: number }>(
        "select entry from log where seq + events > ? and events > 0 order by entry limit 1",
        seq,
      )
      .toArray()[0];
    return row?.entry ?? null;
  }

  logBody(entry: number): Uint8Array | undefined {
    const row = this.#sql.exec<{ body: ArrayBuffer }>("select body from log where entry = ?", entry).toArray()[0];
    return row === undefined ? undefined : new Uint8Array(row.body);
  }

  /** Entries in the log. */
  logEntries(): number {
    return this.#sql.exec<{ entries: number }>("select count(*) as entries from log").one().entries;
  }

  trimLog(throughEntry: number): void {
    this.#run("delete from log where entry <= ?", throughEntry);
  }

  addLate(events: number, body: Uint8Array): void {
    this.#run("insert into late_inbox (events, body) values (?, ?)", events, body);
  }

  /** Oldest entries holding together at least `events` events, or all. */
  lateEntries(events: number): { entry: number; events: number; body: Uint8Array }[] {
    const found: { entry: number; events: number; body: Uint8Array }[] = [];
    let total = 0;
    for (const row of this.#sql.exec<{ entry: number; events: number; body: ArrayBuffer }>(
      "select entry, events, body from late_inbox order by entry",
    )) {
      found.push({ ...row, body: new Uint8Array(row.body) });
      total += row.events;
      if (total >= events) break;
    }
    return found;
  }

  dropLate(throughEntry: number): void {
    this.#run("delete from late_inbox where entry <= ?", throughEntry);
  }

  readonly windowParts: LoadWindows = (aggregation, starts, part) => {
    const found = new Map<number, Uint8Array[]>();
    const rows = this.#sql.exec<{ start: number; body: ArrayBuffer }>(
      `select start, body from windows where aggregation = ? and start in (select value from json_each(?)) ${part === undefined ? "order by start, part" : "and part = ?"}`,
      aggregation,
      JSON.stringify(starts),
      ...(part === undefined ? [] : [part]),
    );
    for (const { start, body } of rows) {
      const parts = found.get(start);
      if (parts === undefined) found.set(start, [new Uint8Array(body)]);
      else parts.push(new Uint8Array(body));
    }
    return found;
  };

  /** Keys of stored windows in [from, to), ascending, at most `limit`. */
  windowKeys(aggregation: number, from: number, to: number, limit: number): number[] {
    return this.#sql
      .exec<{ start: number }>(
        "select distinct start from windows where aggregation = ? and start >= ? and start < ? order by start limit ?",
        aggregation,
        from,
        to,
        limit,
      )
      .toArray()
      .map((row) => row.start);
  }

  /** In the order of their keys, many rows a statement: a backfill writes thousands, most to a page of the disk of their own. */
  writeWindows(aggregation: number, records: readonly DirtyRecord[]): void {
    const sorted = records.toSorted((a, b) => a.key - b.key);
    let bindings: (number | Uint8Array)[] = [];
    const flush = (): void => {
      const rows = Array.from({ length: bindings.length / WINDOW_COLUMNS }, () => "(?, ?, ?, ?)").join(", ");
      this.#run(
        `insert into windows (aggregation, start, part, body) values ${rows} on conflict (aggregation, start, part) do update set body = excluded.body`,
        ...bindings,
      );
      bindings = [];
    };
    for (const { key, parts } of sorted) {
      for (const [part, body] of parts.entries()) {
        if (body === null) continue;
        this.windowRowsWritten++;
        bindings.push(aggregation, key, part, body);
        if (bindings.length + WINDOW_COLUMNS > MAX_BINDINGS) flush();
      }
    }
    if (bindings.length > 0) flush();
    // Sessions that join or outgrow their page leave it smaller than it was.
    for (const { key, parts, storedParts } of sorted)
      if (parts.length < storedParts)
        this.#run(
          "delete from windows where aggregation = ? and start = ? and part >= ?",
          aggregation,
          key,
          parts.length,
        );
  }

  dropWindow(aggregation: number, key: number): void {
    this.#run("delete from windows where aggregation = ? and start = ?", aggregation, key);
  }

  dropWindows(aggregation: number): void {
    this.#run("delete from windows where aggregation = ?", aggregation);
  }

  addIdPage(body: Uint8Array): void {
    this.#run("insert into ids (body) values (?)", body);
  }

  *idPages(): IterableIterator<Uint8Array> {
    for (const row of this.#sql.exec<{ body: ArrayBuffer }>("select body from ids order by page"))
      yield new Uint8Array(row.body);
  }

  dropIdPages(): void {
    this.#run("delete from ids");
  }

  writeSeen({ layer, bits }: SeenLayer): void {
    this.#run(
      "insert into seen (layer, body) values (?, ?) on conflict (layer) do update set body = excluded.body",
      layer,
      bits,
    );
  }

  *seenLayers(): IterableIterator<SeenLayer> {
    for (const { layer, body } of this.#sql.exec<{ layer: number; body: ArrayBuffer }>(
      "select layer, body from seen order by layer",
    ))
      yield { layer, bits: new Uint8Array(body) };
  }

  dropSeen(): void {
    this.#run("delete from seen");
  }

  /** Versions that a newer one has replaced, newest first. */
  pastVersions(name: string): PastVersionRow[] {
    return this.#sql
      .exec<{ id: number; version: number; body: string; state: string; retired_at: number }>(
        "select id, version, body, state, retired_at from past_versions where name = ? order by version desc",
        name,
      )
      .toArray()
      .map(({ id, version, body, state, retired_at }) => ({
        id,
        version,
        body: JSON.parse(body) as unknown,
        state: JSON.parse(state) as unknown,
        retiredAt: retired_at,
      }));
  }

  addPastVersion(name: string, { id, version, body, state, retiredAt }: PastVersionRow): void {
    this.#run(
      "insert into past_versions (id, name, version, body, state, retired_at) values (?, ?, ?, ?, ?, ?)",
      id,
      name,
      version,
      JSON.stringify(body),
      JSON.stringify(state),
      retiredAt,
    );
  }

  dropPastVersion(id: number): void {
    this.#run("delete from past_versions where id = ?", id);
  }

  rebuilds(): { id: number; body: unknown }[] {
    return this.#sql
      .exec<{ id: number; body: string }>("select id, body from rebuilds order by id")
      .toArray()
      .map(({ id, body }) => ({ id, body: JSON.parse(body) as unknown }));
  }

  writeRebuild(id: number, body: unknown): void {
    this.#run(
      "insert into rebuilds (id, body) values (?, ?) on conflict (id) do update set body = excluded.body",
      id,
      JSON.stringify(body),
    );
  }

  dropRebuild(id: number): void {
    this.#run("delete from rebuilds where id = ?", id);
  }

  definitions(): { id: number; version: number; body: unknown }[] {
    return this.#sql
      .exec<{ id: number; version: number; body: string }>("select id, version, body from definitions order by id")
      .toArray()
      .map((row) => ({ id: row.id, version: row.version, body: JSON.parse(row.body) as unknown }));
  }

  writeDefinition(id: number, version: number, body: unknown, at: number): void {
    this.#run(
      "insert into definitions (id, version, body, created_at) values (?, ?, ?, ?) on conflict (id) do update set version = excluded.version, body = excluded.body",
      id,
      version,
      JSON.stringify(body),
      at,
    );
  }

  dropDefinition(id: number): void {
    this.#run("delete from definitions where id = ?", id);
  }

  #run(statement: string, ...bindings: (string | number | Uint8Array)[]): void {
    this.rowsWritten += this.#sql.exec(statement, ...bindings).rowsWritten;
  }
}

/** A definition that another has replaced, and what its windows need to be read. */
export interface PastVersionRow {
  readonly id: number;
  readonly version: number;
  readonly body: unknown;
  readonly state: unknown;
  /** Epoch ms. */
  readonly retiredAt: number;
}

interface HeadRow extends Record<string, SqlStorageValue> {
  entry: number;
  kind: string;
  seq: number;
  events: number;
  at: number;
  chunks: string | null;
}

interface LogRow extends HeadRow {
  body: ArrayBuffer;
}

function headOf({ entry, kind, seq, events, at, chunks }: HeadRow): LogHead {
  const known = LOG_KINDS.find((name) => name === kind) ?? "events";
  return { entry, kind: known, seq, events, at, chunks: chunks === null ? undefined : chunksOf(chunks) };
}

function chunksText(chunks: readonly ChunkHead[]): string {
  return JSON.stringify(
    chunks.map(({ events, bytes, minTimestamp, maxTimestamp }) => [events, bytes, minTimestamp, maxTimestamp]),
  );
}

function chunksOf(text: string): ChunkHead[] {
  const lists = JSON.parse(text) as [events: number, bytes: number, minTimestamp: number, maxTimestamp: number][];
  return lists.map(([events, bytes, minTimestamp, maxTimestamp]) => ({ events, bytes, minTimestamp, maxTimestamp }));
}
