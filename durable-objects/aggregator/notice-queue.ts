import type { MetaTable } from "./tables.ts";

/** Text of the notices in one row. A row may hold 2 MB; one notice of many sessions is far smaller than the difference. */
const MAX_ROW_CHARS = 500_000;

/**
 * A window to tell of by its start; with an `end`, a run of windows that had no events; with `sessions`, those that end at `end`,
 * each by its start and group, told as one window: rules see one window per end.
 */
export interface Notice {
  readonly aggregation: string;
  readonly start: number;
  readonly end?: number;
  readonly sessions?: readonly (readonly [start: number, group: string])[];
}

/** Notices that wait to be told, in order, each once: a window that changes again before it is told is told as it is then. */
export class NoticeQueue {
  readonly #tables: MetaTable;
  #waiting = new Map<string, Notice>();
  /** Taken, and neither settled nor put back. */
  #taken = new Map<string, Notice>();
  /** Rows on disk that hold any. */
  #filledRows = 0;

  constructor(tables: MetaTable) {
    this.#tables = tables;
    for (let row = 0; ; row++) {
      const notices = tables.readMeta(rowKey(row)) as readonly Notice[] | undefined;
      if (notices === undefined || notices.length === 0) break;
      for (const notice of notices) this.add(notice);
      this.#filledRows++;
    }
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(notice: Notice): void {
    const key = noticeKey(notice);
    const known = this.#waiting.get(key);
    if (known === undefined) this.#waiting.set(key, notice);
    else if (notice.sessions !== undefined)
      this.#waiting.set(key, { ...known, sessions: union(known.sessions ?? [], notice.sessions) });
  }

  /** The first `count`. Until they are settled they are saved along. */
  take(count: number): Notice[] {
    for (const [key, notice] of this.#waiting) {
      if (this.#taken.size === count) break;
      this.#taken.set(key, notice);
      this.#waiting.delete(key);
    }
    return [...this.#taken.values()];
  }

  settle(): void {
    this.#taken = new Map();
  }

  /** What was taken waits again, before what was added since: of sessions with the same end, both. */
  putBack(): void {
    const added = this.#waiting;
    this.#waiting = this.#taken;
    this.#taken = new Map();
    for (const notice of added.values()) this.add(notice);
  }

  /** Forgets an aggregation's notices. */
  drop(aggregation: string): void {
    for (const notices of [this.#waiting, this.#taken]) {
      for (const [key, notice] of notices) if (notice.aggregation === aggregation) notices.delete(key);
    }
  }

  save(): void {
    const rows = inRows([...this.#taken.values(), ...this.#waiting.values()]);
    for (let row = 0; row < Math.max(rows.length, this.#filledRows); row++)
      this.#tables.writeMeta(rowKey(row), rows[row] ?? []);
    this.#filledRows = rows.length;
  }
}

const rowKey = (row: number): string => (row === 0 ? "untold" : `untold:${row}`);

const noticeKey = ({ aggregation, start, end, sessions }: Notice): string =>
  sessions === undefined ? `${aggregation} ${start} ${end ?? ""}` : `${aggregation} sessions ${end ?? ""}`;

type Sessions = NonNullable<Notice["sessions"]>;

function union(known: Sessions, added: Sessions): Sessions {
  const names = new Set(known.map((session) => JSON.stringify(session)));
  return [...known, ...added.filter((session) => !names.has(JSON.stringify(session)))];
}

function inRows(notices: readonly Notice[]): Notice[][] {
  const rows: Notice[][] = [];
  let chars = Infinity;
  for (const notice of notices) {
    const length = JSON.stringify(notice).length;
    if (chars + length > MAX_ROW_CHARS) {
      rows.push([]);
      chars = 0;
    }
    rows.at(-1)?.push(notice);
    chars += length;
  }
  return rows;
}
