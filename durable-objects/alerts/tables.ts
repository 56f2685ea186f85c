const SCHEMA = [
  // Each table is its own primary key where it can be, so that a row written is one row billed.
  `create table if not exists settings (key text primary key, value text not null) without rowid`,
  `create table if not exists rules (id text primary key, spec text not null, measures text not null, created_at integer not null, updated_at integer not null) without rowid`,
  `create table if not exists channels (id text primary key, name text not null, type text not null, shown text not null, sealed blob not null, created_at integer not null) without rowid`,
  `create table if not exists positions (aggregation text primary key, body text not null) without rowid`,
  `create table if not exists instances (rule_id text not null, page integer not null, body text not null, primary key (rule_id, page)) without rowid`,
  `create table if not exists seen_groups (aggregation text not null, page integer not null, body text not null, primary key (aggregation, page)) without rowid`,
  // Values of earlier windows come with the windows now.
  `drop table if exists previous_values`,
  `create table if not exists alerts (id text primary key, rule_id text not null, status text not null, level text not null, started_at integer not null, fired_at integer, acknowledged_at integer, resolved_at integer, body text not null) without rowid`,
  // Only open alerts are in it: every list of what is wrong now reads these and nothing else.
  `create index if not exists alerts_open on alerts (status) where status <> 'resolved'`,
  // What waits for a time; empty unless some rule has silences, mute times, escalation or a repeat to wait for.
  `create table if not exists bundles (key text primary key, due_at integer, body text not null) without rowid`,
  `create index if not exists bundles_due on bundles (due_at) where due_at is not null`,
  `create table if not exists tracks (rule_id text not null, key text not null, expires_at integer not null, body text not null, primary key (rule_id, key)) without rowid`,
  `create table if not exists silences (id text primary key, ends_at integer not null, body text not null) without rowid`,
  `create table if not exists history (alert_id text not null, n integer not null, at integer not null, body text not null, primary key (alert_id, n)) without rowid`,
  `create table if not exists outbox (message_id text not null, channel_id text not null, alert_id text not null, body text not null, due_at integer not null, sends integer not null, attempts integer not null, made_at integer not null default 0, primary key (message_id, channel_id)) without rowid`,
  `create table if not exists channel_health (channel_id text primary key, body text not null) without rowid`,
  `create table if not exists deliveries (alert_id text not null, n integer not null, body text not null, primary key (alert_id, n)) without rowid`,
];

/** Until there were other channels than webhooks, what is shown of one stood in two columns. */
const FROM_WEBHOOKS_ONLY = [
  `alter table channels rename column shown_url to shown`,
  `update channels set shown = json_object('url', shown, 'secret_set', json('true'), 'allow_private_targets', json(iif(allow_private, 'true', 'false')))`,
  `alter table channels drop column allow_private`,
];

/** Columns that came later, by table. */
const LATER_COLUMNS = [
  ["alerts", "next_at integer"],
  ["outbox", "waits_for text"],
] as const;
const LATER_INDEXES = [
  `create index if not exists alerts_next on alerts (next_at) where next_at is not null`,
  `create index if not exists outbox_waiting on outbox (waits_for, channel_id) where waits_for is not null`,
];

/** Makes the AlertManager's tables. What each holds: docs/storage.md. */
export function createTables(sql: SqlStorage): void {
  for (const statement of SCHEMA) sql.exec(statement);
  const hasOldChannels =
    sql.exec("select 1 from pragma_table_info('channels') where name = 'shown_url'").toArray().length > 0;
  if (hasOldChannels) for (const statement of FROM_WEBHOOKS_ONLY) sql.exec(statement);
  const knowsAge = sql.exec("select 1 from pragma_table_info('outbox') where name = 'made_at'").toArray().length > 0;
  // A notification of before is as old as its lease says.
  if (!knowsAge) {
    sql.exec("alter table outbox add column made_at integer not null default 0");
    sql.exec("update outbox set made_at = due_at");
  }
  for (const [table, column] of LATER_COLUMNS) addColumn(sql, table, column);
  for (const statement of LATER_INDEXES) sql.exec(statement);
}

function addColumn(sql: SqlStorage, table: string, column: string): void {
  const name = column.split(" ")[0] ?? "";
  const known = sql.exec("select 1 from pragma_table_info(?) where name = ?", table, name).toArray();
  if (known.length === 0) sql.exec(`alter table ${table} add column ${column}`);
}

/** Small facts about the object itself, as JSON. */
export class Settings {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  read(key: string): unknown {
    const row = this.#sql.exec<{ value: string }>("select value from settings where key = ?", key).toArray()[0];
    return row === undefined ? undefined : JSON.parse(row.value);
  }

  write(key: string, value: string | number | null): void {
    this.#sql.exec(
      "insert into settings (key, value) values (?, ?) on conflict (key) do update set value = excluded.value",
      key,
      JSON.stringify(value),
    );
  }
}
