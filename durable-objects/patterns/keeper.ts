import type { ForwardedRows } from "../../core/patterns/forwarded-rows.ts";
import { type KeeperInput, KeeperMachine } from "../../core/patterns/keeper-machine.ts";
import { matchEvent } from "../../core/patterns/match-event.ts";
import type { Outcome, PatternStateJson } from "../../core/patterns/pattern-state.ts";
import type { StoredPattern } from "../../core/patterns/plan.ts";
import { packChunk } from "../../storage/chunk.ts";
import type { KeeperAnswer, KeeperCall, KeeperStatus } from "./messages.ts";
import { pageOf, readPages, writePages } from "./pages.ts";
import { KeeperTables } from "./tables.ts";

/** Matches in one outbox row, which is sent as one batch of events … */
const OUTCOMES_PER_ROW = 500;
/** … unless they are longer: JSON text, UTF-16 units, about. */
const MAX_OUTGOING_LENGTH = 500_000;
/** Outbox rows beyond which nothing more is taken: the events stay in the shards' logs meanwhile. */
export const MAX_OUTBOX_ROWS = 1000;
/** A restart replays at most this much of the log: rows … */
const MAX_LOG_ROWS = 500;
/** … or UTF-16 units of JSON. The log is not packed: it is gone soon, and packing it takes longer than writing it. */
const MAX_LOG_LENGTH = 4_000_000;

/** What a log row holds. */
interface LoggedInput {
  readonly input: Omit<KeeperInput, "rows">;
  /** Left out where there are none. */
  readonly rows?: ForwardedRows;
  readonly epoch: number;
  /** Up to where a shard's log is taken with it. */
  readonly cursor?: readonly [shard: string, through: number];
}

/** The checkpoint, beside the pages. */
interface Saved {
  readonly epoch: number;
  readonly patterns: readonly StoredPattern[];
  readonly states: readonly PatternStateJson[];
  readonly cursors: readonly (readonly [shard: string, through: number])[];
  readonly lastEntry: number;
}

/** What a keeper stands on. */
export interface KeeperGround {
  readonly storage: DurableObjectStorage;
  /** Ends the object; it starts anew from disk. */
  readonly abort: (error: unknown) => void;
}

/**
 * A keeper in memory and on disk: the machine, the log of what it was told since the last checkpoint, and the matches not sent yet.
 *
 * Every change of all of it is one synchronous transaction. If it throws, the object is ended: memory is never ahead of the disk.
 */
export class Keeper {
  readonly tables: KeeperTables;
  readonly machine: KeeperMachine;
  readonly #ground: KeeperGround;
  readonly #touched = new Set<number>();
  readonly #cursors: Map<string, number>;
  #epoch: number;
  #lastEntry: number;
  #loggedRows = 0;
  #loggedLength = 0;

  constructor(ground: KeeperGround) {
    this.#ground = ground;
    this.tables = new KeeperTables(ground.storage.sql);
    const saved = this.tables.readMeta("keeper") as Saved | undefined;
    this.#epoch = saved?.epoch ?? -1;
    this.#lastEntry = saved?.lastEntry ?? 0;
    this.#cursors = new Map(saved?.cursors);
    this.machine = new KeeperMachine(saved?.patterns ?? [], saved?.states ?? [], (id, key) =>
      this.#touched.add(pageOf(id, key)),
    );
    readPages(this.tables, this.machine);
    for (const { entry, body } of this.tables.log()) this.#replay(entry, body);
  }

  /** Takes what a shard tells. What was told before is passed over. */
  take(call: KeeperCall): KeeperAnswer {
    if (call.epoch > this.#epoch && call.patterns === undefined) return { ok: false, reason: "needs_patterns" };
    if (this.tables.outgoing >= MAX_OUTBOX_ROWS) return { ok: false, reason: "busy" };
    const inputs = this.#inputsOf(call);
    if (inputs.length > 0) this.#change(() => this.#commit(inputs));
    return { ok: true, wants: this.machine.wants() };
  }

  status(): KeeperStatus[] {
    return Array.from(this.machine.patterns.values(), ({ pattern, keys, size, counts }) => ({
      id: pattern.id,
      keys: keys.size,
      buffered: size,
      ...counts,
    }));
  }

  /** A call as texts of log rows, without what is known already. Empty when it changes nothing. */
  #inputsOf({ shard, incarnation, runs, watermarks, epoch, patterns }: KeeperCall): string[] {
    // By epoch: a shard that learns of a new pattern forwards anew what home has not merged. Keys know events they have had.
    const name = `${shard}:${incarnation}:${epoch}`;
    const known = this.#cursors.get(name) ?? -1;
    const parts: (string | undefined)[] = runs.filter(({ through }) => through > known).flatMap(({ rows }) => rows);
    const through = runs.at(-1)?.through ?? -1;
    const isNewEpoch = epoch > this.#epoch && patterns !== undefined;
    const wanted = new Map(this.machine.wants());
    const moves = watermarks.some(([id, at]) => at >= (wanted.get(id) ?? Infinity));
    if (parts.length === 0 && !moves && !isNewEpoch) return [];
    if (parts.length === 0) parts.push(undefined);
    return parts.map((rows, k) => {
      const logged: LoggedInput = {
        input: {
          ...(isNewEpoch && k === 0 ? { patterns } : {}),
          ...(k === parts.length - 1 ? { watermarks } : {}),
        },
        epoch: Math.max(epoch, this.#epoch),
        ...(through > known ? { cursor: [name, through] as const } : {}),
      };
      return withRows(JSON.stringify(logged), rows);
    });
  }

  #commit(inputs: readonly string[]): void {
    for (const text of inputs) {
      this.tables.appendLog(++this.#lastEntry, text);
      this.#noteLogged(text);
      this.#post(this.#apply(text));
    }
    if (this.#loggedRows >= MAX_LOG_ROWS || this.#loggedLength >= MAX_LOG_LENGTH) this.#checkpoint();
  }

  #apply(text: string): Outcome[] {
    const { input, rows, epoch, cursor } = JSON.parse(text) as LoggedInput;
    const outcomes = this.machine.take(rows === undefined ? input : { ...input, rows });
    this.#epoch = epoch;
    if (cursor !== undefined) this.#advance(...cursor);
    return outcomes;
  }

  /** Cursors of the same shard with older definitions are not asked for again. */
  #advance(name: string, through: number): void {
    const shard = name.slice(0, name.lastIndexOf(":") + 1);
    for (const known of this.#cursors.keys())
      if (known !== name && known.startsWith(shard)) this.#cursors.delete(known);
    this.#cursors.set(name, through);
  }

  /** What followed from it is in the outbox, or sent. */
  #replay(entry: number, text: string): void {
    this.#apply(text);
    this.#lastEntry = entry;
    this.#noteLogged(text);
  }

  #noteLogged(text: string): void {
    this.#loggedRows++;
    this.#loggedLength += text.length;
  }

  #post(outcomes: readonly Outcome[]): void {
    let texts: string[] = [];
    let length = 0;
    const finish = (): void => {
      if (texts.length > 0) this.tables.addOutgoing(packChunk(`[${texts.join(",")}]`));
      texts = [];
      length = 0;
    };
    for (const outcome of outcomes) {
      const text = JSON.stringify(matchEvent(outcome));
      texts.push(text);
      length += text.length;
      if (texts.length === OUTCOMES_PER_ROW || length >= MAX_OUTGOING_LENGTH) finish();
    }
    finish();
  }

  #checkpoint(): void {
    writePages(this.tables, this.machine, this.#touched);
    this.tables.clearLog();
    const states = Array.from(this.machine.patterns.values(), (state) => state.toJSON());
    const patterns = Array.from(this.machine.patterns.values(), ({ pattern }) => pattern);
    const saved: Saved = {
      epoch: this.#epoch,
      patterns,
      states,
      cursors: [...this.#cursors],
      lastEntry: this.#lastEntry,
    };
    this.tables.writeMeta("keeper", saved);
    this.#touched.clear();
    this.#loggedRows = 0;
    this.#loggedLength = 0;
  }

  #change(change: () => void): void {
    try {
      this.#ground.storage.transactionSync(change);
    } catch (error) {
      this.#ground.abort(error);
      throw error;
    }
  }
}

/** JSON text of an object with one member more, whose text is at hand. */
function withRows(object: string, rows: string | undefined): string {
  return rows === undefined ? object : `${object.slice(0, -1)},"rows":${rows}}`;
}
