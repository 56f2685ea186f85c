import { compileSilence } from "../../core/alerts/dispatch/silence.ts";
import type { CompiledSilence, Silence } from "../../core/alerts/dispatch/silence.ts";

/** Silences kept after they have ended, for people to see what was quiet and why. */
const MAX_EXPIRED = 200;

/** The tenant's silences: rows, and in memory those that have not ended, compiled. */
export class SilenceBook {
  readonly #sql: SqlStorage;
  readonly #live = new Map<string, CompiledSilence>();

  constructor(sql: SqlStorage, nowMs: number) {
    this.#sql = sql;
    const query = "select body from silences where ends_at > ?";
    for (const { body } of sql.exec<{ body: string }>(query, nowMs)) this.hold(JSON.parse(body));
  }

  /** Those that have not ended, as far as is known; whoever asks has the time. */
  get live(): readonly CompiledSilence[] {
    return [...this.#live.values()];
  }

  countLive(nowMs: number): number {
    return this.live.filter(({ endsAt }) => endsAt > nowMs).length;
  }

  find(id: string): Silence | null {
    const row = this.#sql.exec<{ body: string }>("select body from silences where id = ?", id).toArray()[0];
    return row === undefined ? null : JSON.parse(row.body);
  }

  /** Those that have not ended first, then by end, the latest first. */
  list(): Silence[] {
    const rows = this.#sql.exec<{ body: string }>("select body from silences order by ends_at desc, id").toArray();
    return rows.map(({ body }) => JSON.parse(body));
  }

  /** Writes the row. Call `hold` once the transaction has committed. */
  write(silence: Silence): void {
    const query = "insert or replace into silences (id, ends_at, body) values (?, ?, ?)";
    this.#sql.exec(query, silence.id, silence.endsAt, JSON.stringify(silence));
  }

  /** Deletes the row. Call `drop` once the transaction has committed. */
  erase(id: string): void {
    this.#sql.exec("delete from silences where id = ?", id);
  }

  /** Forgets ended ones beyond the limit. */
  prune(nowMs: number): void {
    const query = `delete from silences where id in
      (select id from silences where ends_at <= ? order by ends_at desc limit -1 offset ${MAX_EXPIRED})`;
    this.#sql.exec(query, nowMs);
    for (const { id, endsAt } of this.live) if (endsAt <= nowMs) this.#live.delete(id);
  }

  hold(silence: Silence): void {
    this.#live.set(silence.id, compileSilence(silence));
  }

  drop(id: string): void {
    this.#live.delete(id);
  }
}
