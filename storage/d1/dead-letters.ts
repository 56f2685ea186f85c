/** One row of `dead_letters`. Times are epoch ms. */
export interface DeadLetter {
  readonly tenant: string;
  /** The queue's id of the dead letter. */
  readonly id: string;
  /** `unreadable` ones cannot be replayed. */
  readonly kind: "events" | "notification" | "unreadable";
  readonly reason: string;
  readonly attempts: number;
  /** Events inside; 0 when there are none. */
  readonly events: number;
  readonly created_at: number;
  /** For `events` what `packLetter` made, for `notification` what `buryNotification` made, else whatever arrived, as text. */
  readonly body: string;
}

/** What is shown of a letter; its body is not. */
export type DeadLetterInfo = Omit<DeadLetter, "tenant" | "body">;

/** Where a list ended: the last letter on the page. */
export interface LetterPlace {
  readonly created_at: number;
  readonly id: string;
}

const INSERT = `
  insert into dead_letters (tenant, id, kind, reason, attempts, events, created_at, body)
  values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
  on conflict do nothing`;

// No index by time: letters are few, and each index would be one more row to pay for every letter.
const LIST = `
  select id, kind, reason, attempts, events, created_at from dead_letters
  where tenant = ?1 and (created_at, id) < (?2, ?3)
  order by created_at desc, id desc limit ?4`;

const LOAD_AFTER = `
  select * from dead_letters where tenant = ?1 and kind <> 'unreadable' and id > ?2 order by id limit ?3`;

const LOAD_IDS = `
  select * from dead_letters where tenant = ?1 and id in (select value from json_each(?2)) order by id`;

const DELETE = `delete from dead_letters where tenant = ?1 and id in (select value from json_each(?2))`;

const COUNT = `
  select count(*) as letters, coalesce(sum(events), 0) as events from dead_letters where tenant = ?1`;

/** Beyond every place in the list, which begins with the newest. */
const NEWEST: LetterPlace = { created_at: Number.MAX_SAFE_INTEGER, id: "" };

/** Adds letters, in one transaction. @returns those that were not there already */
export async function insertDeadLetters(db: D1Database, letters: readonly DeadLetter[]): Promise<DeadLetter[]> {
  if (letters.length === 0) return [];
  const results = await db.batch(
    letters.map(({ tenant, id, kind, reason, attempts, events, created_at, body }) =>
      db.prepare(INSERT).bind(tenant, id, kind, reason, attempts, events, created_at, body),
    ),
  );
  return letters.filter((_, k) => (results[k]?.meta.changes ?? 0) > 0);
}

/** Letters without their bodies, newest first. @param after the last one of the page before */
export async function listDeadLetters(
  db: D1Database,
  tenant: string,
  after: LetterPlace | null,
  limit: number,
): Promise<DeadLetterInfo[]> {
  const { created_at, id } = after ?? NEWEST;
  return (await db.prepare(LIST).bind(tenant, created_at, id, limit).all<DeadLetterInfo>()).results;
}

/** Letters and the events in them. */
export async function countDeadLetters(db: D1Database, tenant: string): Promise<{ letters: number; events: number }> {
  return (
    (await db.prepare(COUNT).bind(tenant).first<{ letters: number; events: number }>()) ?? { letters: 0, events: 0 }
  );
}

/** Replayable letters with an id greater than `afterId`, by id. A letter has up to 170 KB: ask for few. */
export async function loadDeadLetters(
  db: D1Database,
  tenant: string,
  afterId: string,
  limit: number,
): Promise<DeadLetter[]> {
  return (await db.prepare(LOAD_AFTER).bind(tenant, afterId, limit).all<DeadLetter>()).results;
}

/** The letters of these ids that there are, replayable or not. */
export async function loadDeadLettersById(
  db: D1Database,
  tenant: string,
  ids: readonly string[],
): Promise<DeadLetter[]> {
  return (await db.prepare(LOAD_IDS).bind(tenant, JSON.stringify(ids)).all<DeadLetter>()).results;
}

/** @returns how many there were */
export async function deleteDeadLetters(db: D1Database, tenant: string, ids: readonly string[]): Promise<number> {
  return (await db.prepare(DELETE).bind(tenant, JSON.stringify(ids)).run()).meta.changes;
}
