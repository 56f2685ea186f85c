/** One thing a keeper was told, as its log holds it. */
export interface KeeperLogRow {
  readonly entry: number;
  readonly body: string;
}

const SCHEMA = [
  `create table if not exists meta (key text primary key, value text not null) without rowid`,
  `create table if not exists log (entry integer primary key, body text not null)`,
  `create table if not exists pages (page integer not null, part integer not null, body blob not null, primary key (page, part)) without rowid`,
  `create table if not exists outbox (seq integer primary key autoincrement, body blob not null)`,
];

/** The SQL of a PatternKeeper: every statement it runs. */
export class KeeperTables {
  readonly #sql: SqlStorage;
  /** Rows of the outbox up to this one were sent by this instance, and are kept for now. */
  #sentThrough = 0;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    for (const statement of SCHEMA) sql.exec(statement);
  }

  readMeta(key: string): unknown {
    const row = this.#sql.exec<{ value: string }>("select value from meta where key = ?", key).toArray()[0];
    return row === undefined ? undefined : JSON.parse(row.value);
  }

  writeMeta(key: string, value: unknown): void {
    this.#sql.exec(
      "insert into meta (key, value) values (?, ?) on conflict (key) do update set value = excluded.value",
      key,
      JSON.stringify(value),
    );
  }

  appendLog(entry: number, body: string): void {
    this.#sql.exec("insert into log (entry, body) values (?, ?)", entry, body);
  }

  log(): Iterable<KeeperLogRow> {
    return this.#sql.exec<{ entry: number; body: string }>("select entry, body from log order by entry");
  }

  clearLog(): void {
    this.#sql.exec("delete from log");
  }

  *pages(): IterableIterator<Uint8Array> {
    for (const { body } of this.#sql.exec<{ body: ArrayBuffer }>("select body from pages")) yield new Uint8Array(body);
  }

  writePage(page: number, parts: readonly Uint8Array[]): void {
    for (const [part, body] of parts.entries())
      this.#sql.exec(
        "insert into pages (page, part, body) values (?, ?, ?) on conflict (page, part) do update set body = excluded.body",
        page,
        part,
        body,
      );
    this.#sql.exec("delete from pages where page = ? and part >= ?", page, parts.length);
  }

  addOutgoing(body: Uint8Array): void {
    this.#sql.exec("insert into outbox (body) values (?)", body);
  }

  /** Rows that wait to be sent. */
  get outgoing(): number {
    const query = "select count(*) as waiting from outbox where seq > ?";
    return this.#sql.exec<{ waiting: number }>(query, this.#sentThrough).one().waiting;
  }

  /** The oldest that waits. */
  firstOutgoing(): { seq: number; body: Uint8Array } | undefined {
    const row = this.#sql
      .exec<{
        seq: number;
        body: ArrayBuffer;
      }>("select seq, body from outbox where seq > ? order by seq limit 1", this.#sentThrough)
      .toArray()[0];
    return row === undefined ? undefined : { seq: row.seq, body: new Uint8Array(row.body) };
  }

  /** It waits no longer, but is there for the next instance, which sends it again. */
  keepSent(seq: number): void {
    this.#sentThrough = seq;
  }

  /** Forgets a row and those before it. */
  dropOutgoing(through: number): void {
    this.#sql.exec("delete from outbox where seq <= ?", through);
  }
}
