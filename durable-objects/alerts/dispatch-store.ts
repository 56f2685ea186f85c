import type { AlertRecord } from "../../core/alerts/alert.ts";
import type { HistoryEntry } from "../../core/alerts/alert-life.ts";
import type { Bundle } from "../../core/alerts/dispatch/bundle.ts";
import type { DispatchResult, DispatchShelf } from "../../core/alerts/dispatch/terms.ts";
import type { RulePolicy } from "../../core/alerts/dispatch/rule-policy.ts";
import type { CompiledSilence } from "../../core/alerts/dispatch/silence.ts";
import { expiryOf } from "../../core/alerts/dispatch/track.ts";
import type { Track } from "../../core/alerts/dispatch/track.ts";
import type { AlertLog } from "./alert-log.ts";
import type { Outbox } from "./outbox.ts";
import type { RuleBook } from "./rule-book.ts";
import type { SilenceBook } from "./silence-book.ts";

/** Due alerts and bundles taken in one go; what is left is due at once. */
const MAX_DUE = 500;

/** How alerts are told of, in rows. Everything that waits for a time has it in an index of its own. */
export class DispatchStore implements DispatchShelf {
  readonly #sql: SqlStorage;
  readonly #log: AlertLog;
  readonly #rules: RuleBook;
  readonly #silences: SilenceBook;
  readonly #outbox: Outbox;

  constructor(sql: SqlStorage, books: { log: AlertLog; rules: RuleBook; silences: SilenceBook; outbox: Outbox }) {
    this.#sql = sql;
    this.#log = books.log;
    this.#rules = books.rules;
    this.#silences = books.silences;
    this.#outbox = books.outbox;
  }

  /** Epoch ms at which something is due, or null. */
  get dueAt(): number | null {
    const query = `select min(at) as due from (
      select min(next_at) as at from alerts where next_at is not null
      union all select min(due_at) from bundles where due_at is not null)`;
    return this.#sql.exec<{ due: number | null }>(query).one().due;
  }

  alert(id: string): AlertRecord | null {
    return this.#log.find(id);
  }

  firing(ruleId: string | null): readonly AlertRecord[] {
    return this.#log.listFiring(ruleId);
  }

  ending(id: string): HistoryEntry | null {
    return this.#log.history(id).findLast(({ kind }) => kind === "resolved") ?? null;
  }

  dueAlerts(nowMs: number): readonly AlertRecord[] {
    const query = "select body from alerts where next_at <= ? order by next_at limit ?";
    const rows = this.#sql.exec<{ body: string }>(query, nowMs, MAX_DUE).toArray();
    return rows.map(({ body }) => JSON.parse(body));
  }

  dueBundles(nowMs: number): readonly Bundle[] {
    const query = "select body from bundles where due_at <= ? order by due_at limit ?";
    const rows = this.#sql.exec<{ body: string }>(query, nowMs, MAX_DUE).toArray();
    return rows.map(({ body }) => JSON.parse(body));
  }

  bundle(key: string): Bundle | null {
    const row = this.#sql.exec<{ body: string }>("select body from bundles where key = ?", key).toArray()[0];
    return row === undefined ? null : JSON.parse(row.body);
  }

  /** Whether there is a bundle whose messages go by this id. */
  hasThread(id: string): boolean {
    return this.#sql.exec("select 1 from bundles where json_extract(body, '$.id') = ?", id).toArray().length > 0;
  }

  track(ruleId: string, key: string): Track | null {
    const query = "select body from tracks where rule_id = ? and key = ?";
    const row = this.#sql.exec<{ body: string }>(query, ruleId, key).toArray()[0];
    return row === undefined ? null : JSON.parse(row.body);
  }

  policy(ruleId: string): RulePolicy | undefined {
    return this.#rules.policy(ruleId);
  }

  inhibited(): readonly RulePolicy[] {
    return this.#rules.inhibited();
  }

  silences(): readonly CompiledSilence[] {
    return this.#silences.live;
  }

  isWaiting(messageId: string, channelId: string): boolean {
    return this.#outbox.find({ messageId, channelId }) !== null;
  }

  write({ alerts, bundles, tracks }: DispatchResult, nowMs: number): void {
    for (const { record, entries } of alerts) this.#log.write(record, entries);
    for (const [key, bundle] of bundles) {
      if (bundle === null) this.#sql.exec("delete from bundles where key = ?", key);
      else this.#writeBundle(bundle);
    }
    for (const track of tracks) this.#writeTrack(track);
    if (tracks.length > 0) this.#sql.exec("delete from tracks where expires_at <= ?", nowMs);
  }

  #writeBundle(bundle: Bundle): void {
    const query = "insert or replace into bundles (key, due_at, body) values (?, ?, ?)";
    this.#sql.exec(query, bundle.key, bundle.dueAt, JSON.stringify(bundle));
  }

  #writeTrack(track: Track): void {
    const policy = this.policy(track.ruleId);
    const expiresAt = expiryOf(track, policy?.suppressionMs ?? 0, policy?.flap ?? null);
    const query = "insert or replace into tracks (rule_id, key, expires_at, body) values (?, ?, ?, ?)";
    this.#sql.exec(query, track.ruleId, track.key, expiresAt, JSON.stringify(track));
  }
}
