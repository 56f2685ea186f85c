/** The tickets that were redeemed and could still be tried again: a ticket opens one socket. */
export class UsedTickets {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "create table if not exists used_tickets (id text primary key, expires_at integer not null) without rowid",
    );
  }

  /** @param expiresAtMs epoch ms after which the ticket is refused by its own date @returns false when it was used before */
  use(id: string, expiresAtMs: number, nowMs: number): boolean {
    this.#sql.exec("delete from used_tickets where expires_at < ?", nowMs);
    const added = this.#sql.exec(
      "insert into used_tickets (id, expires_at) values (?, ?) on conflict (id) do nothing returning id",
      id,
      expiresAtMs,
    );
    return added.toArray().length === 1;
  }
}
