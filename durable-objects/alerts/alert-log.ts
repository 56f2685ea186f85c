import type { AlertRecord, AlertStatus } from "../../core/alerts/alert.ts";
import type { HistoryEntry } from "../../core/alerts/alert-life.ts";
import { MAX_HISTORY, MAX_RESOLVED_ALERTS } from "../../core/alerts/limits.ts";
import type { Level } from "../../core/alerts/level.ts";

/** Which alerts to list, newest first. */
export interface AlertQuery {
  /** Any of these; empty for all. */
  readonly statuses: readonly AlertStatus[];
  readonly levels: readonly Level[];
  /** Only those of one rule; null for all. */
  readonly ruleId: string | null;
  /** Epoch ms, `from` ≤ started at < `to`; null for no bound. */
  readonly from: number | null;
  readonly to: number | null;
  /** List only alerts older than the one with this id. */
  readonly before: string | null;
  readonly limit: number;
  /** Alerts left out at the beginning. */
  readonly offset?: number;
}

/** Counts over all alerts kept. Times in seconds, null when there is none to average. */
export interface AlertStats {
  readonly total: number;
  readonly by_status: Readonly<Record<string, number>>;
  readonly by_level: Readonly<Record<string, number>>;
  readonly by_rule: readonly { readonly id: string; readonly name: string | null; readonly alerts: number }[];
  /** Alerts that began in the last 24 hours. */
  readonly recent_24h: number;
  readonly mean_seconds_to_acknowledge: number | null;
  readonly mean_seconds_to_resolve: number | null;
}

const DAY_MS = 86_400_000;
/** Rules named in the statistics: those with the most alerts. */
const MAX_RULES_IN_STATS = 10;

/** Lines at the beginning of a history that stay when it grows too long: how it began. */
const FIRST_KEPT = 4;

/** The alerts of a tenant, open and resolved, and what happened to each. */
export class AlertLog {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  find(id: string): AlertRecord | null {
    const row = this.#sql.exec<{ body: string }>("select body from alerts where id = ?", id).toArray()[0];
    return row === undefined ? null : JSON.parse(row.body);
  }

  /** Writes an alert and new lines of its history. One that ended without having fired leaves no trace. */
  write(record: AlertRecord, entries: readonly HistoryEntry[]): void {
    if (record.status === "resolved" && record.firedAt === null) {
      this.erase(record.id);
      return;
    }
    this.#sql.exec(
      `insert or replace into alerts (id, rule_id, status, level, started_at, fired_at, acknowledged_at, resolved_at, next_at, body)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      record.id,
      record.ruleId,
      record.status,
      record.level,
      record.startedAt,
      record.firedAt,
      record.acknowledgedAt,
      record.resolvedAt,
      record.nextAt ?? null,
      JSON.stringify(record),
    );
    for (const entry of entries) this.#writeEntry(record.id, entry);
  }

  #writeEntry(id: string, entry: HistoryEntry): void {
    const query = "select coalesce(max(n), -1) + 1 as n from history where alert_id = ?";
    const { n } = this.#sql.exec<{ n: number }>(query, id).one();
    const insert = "insert into history (alert_id, n, at, body) values (?, ?, ?, ?)";
    this.#sql.exec(insert, id, n, entry.at, JSON.stringify(entry));
    if (n < MAX_HISTORY) return;
    this.#sql.exec(
      "delete from history where alert_id = ? and n >= ? and n <= ?",
      id,
      FIRST_KEPT,
      n - MAX_HISTORY + FIRST_KEPT,
    );
  }

  /** Forgets an alert: one that never fired, or one of long ago. */
  erase(id: string): void {
    const thread = this.find(id)?.thread ?? id;
    this.#sql.exec("delete from alerts where id = ?", id);
    this.#sql.exec("delete from history where alert_id = ?", id);
    this.#sql.exec("delete from deliveries where alert_id in (?, ?)", id, thread);
  }

  /** Erases the oldest resolved alerts beyond the limit. */
  prune(): void {
    const count = "select count(*) as resolved from alerts where status = 'resolved'";
    const surplus = this.#sql.exec<{ resolved: number }>(count).one().resolved - MAX_RESOLVED_ALERTS;
    if (surplus <= 0) return;
    const oldest = "select id from alerts where status = 'resolved' order by id limit ?";
    for (const { id } of this.#sql.exec<{ id: string }>(oldest, surplus).toArray()) this.erase(id);
  }

  history(id: string): HistoryEntry[] {
    const rows = this.#sql.exec<{ body: string }>("select body from history where alert_id = ? order by n", id);
    return rows.toArray().map(({ body }) => JSON.parse(body));
  }

  list(query: AlertQuery): AlertRecord[] {
    // Ids are UUIDv7, so their order is that of time.
    const rows = this.#sql.exec<{ body: string }>(
      `select body from alerts
       where (?1 = '[]' or status in (select value from json_each(?1)))
         and (?2 = '[]' or level in (select value from json_each(?2)))
         and (?3 is null or started_at >= ?3) and (?4 is null or started_at < ?4) and (?5 is null or id < ?5)
         and (?7 is null or rule_id = ?7)
       order by id desc limit ?6 offset ?8`,
      JSON.stringify(query.statuses),
      JSON.stringify(query.levels),
      query.from,
      query.to,
      query.before,
      query.limit,
      query.ruleId,
      query.offset ?? 0,
    );
    return rows.toArray().map(({ body }) => JSON.parse(body));
  }

  /** Open alerts, newest first. Of more than `limit` those that want attention most: what fires, what is worst, what is new. */
  listOpen(limit: number): AlertRecord[] {
    const query = `select body from (
      select id, body from alerts where status <> 'resolved'
      order by instr('firing acknowledged suppressed pending', status), instr('critical error warning info', level), id desc limit ?
    ) order by id desc`;
    return this.#sql
      .exec<{ body: string }>(query, limit)
      .toArray()
      .map(({ body }) => JSON.parse(body));
  }

  /** Alerts that fired and have not ended. @param ruleId null for those of all rules */
  listFiring(ruleId: string | null): AlertRecord[] {
    const query = `select body from alerts where status <> 'resolved' and status <> 'pending' and (?1 is null or rule_id = ?1)`;
    return this.#sql
      .exec<{ body: string }>(query, ruleId)
      .toArray()
      .map(({ body }) => JSON.parse(body));
  }

  /** @param nowMs epoch ms */
  stats(ruleName: (ruleId: string) => string | undefined, nowMs: number): AlertStats {
    const counts = (column: "status" | "level" | "rule_id"): [string, number][] => {
      const query = `select ${column} as name, count(*) as alerts from alerts group by ${column} order by alerts desc`;
      return this.#sql
        .exec<{ name: string; alerts: number }>(query)
        .toArray()
        .map((row) => [row.name, row.alerts]);
    };
    const means = this.#sql
      .exec<{ acknowledged: number | null; resolved: number | null }>(
        "select avg(acknowledged_at - fired_at) as acknowledged, avg(resolved_at - fired_at) as resolved from alerts where fired_at is not null",
      )
      .one();
    const byStatus = counts("status");
    const recent = this.#sql
      .exec<{ alerts: number }>("select count(*) as alerts from alerts where started_at > ?", nowMs - DAY_MS)
      .one().alerts;
    return {
      total: byStatus.reduce((sum, [, alerts]) => sum + alerts, 0),
      by_status: Object.fromEntries(byStatus),
      by_level: Object.fromEntries(counts("level")),
      by_rule: counts("rule_id")
        .slice(0, MAX_RULES_IN_STATS)
        .map(([id, alerts]) => ({ id, name: ruleName(id) ?? null, alerts })),
      recent_24h: recent,
      mean_seconds_to_acknowledge: seconds(means.acknowledged),
      mean_seconds_to_resolve: seconds(means.resolved),
    };
  }
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}
