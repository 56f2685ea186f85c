import { appendRow, type GatheredRows, noRows } from "../../core/patterns/forward.ts";
import { type KeeperInput, KeeperMachine } from "../../core/patterns/keeper-machine.ts";
import { matchEvent } from "../../core/patterns/match-event.ts";
import type { Outcome, PatternStateJson } from "../../core/patterns/pattern-state.ts";
import type { StoredPattern } from "../../core/patterns/plan.ts";
import { packChunk, unpackChunk } from "../../storage/chunk.ts";
import type { ForwardedRun, KeeperAnswer, KeeperCall, KeeperStatus } from "./messages.ts";
import { pageOf, readPages, writePages } from "./pages.ts";
import { KeeperTables } from "./tables.ts";

/** Matches in one outbox row, which is sent as one batch of events … */
const OUTCOMES_PER_ROW = 500;
/** … unless they are longer: JSON text, UTF-16 units, about. */
const MAX_OUTGOING_LENGTH = 500_000;
/** Outbox rows beyond which nothing more is taken: the events stay in the shards' logs meanwhile. */
export const MAX_OUTBOX_ROWS = 1000;
/** Text of one log row, UTF-16 units, about; packed it is far below the 2 MB a row may hold. */
const MAX_INPUT_LENGTH = 500_000;
/** What a row of events takes beside its id and key. */
const ROW_LENGTH = 40;
/** A restart replays at most this much of the log: rows … */
const MAX_LOG_ROWS = 500;
/** … or packed bytes. */
const MAX_LOG_BYTES = 2_000_000;

/** What a log row holds. */
interface LoggedInput {
  readonly input: KeeperInput;
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
  #loggedBytes = 0;

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

  /** A call as log rows, without what is known already. Empty when it changes nothing. */
  #inputsOf({ shard, incarnation, runs, watermarks, epoch, patterns }: KeeperCall): LoggedInput[] {
    // By epoch: a shard that learns of a new pattern forwards anew what home has not merged. Keys know events they have had.
    const name = `${shard}:${incarnation}:${epoch}`;
    const known = this.#cursors.get(name) ?? -1;
    const parts = partsOf(runs.filter(({ through }) => through > known));
    const through = runs.at(-1)?.through ?? -1;
    const isNewEpoch = epoch > this.#epoch && patterns !== undefined;
    const wanted = new Map(this.machine.wants());
    const moves = watermarks.some(([id, at]) => at >= (wanted.get(id) ?? Infinity));
    if (parts.length === 0 && !moves && !isNewEpoch) return [];
    if (parts.length === 0) parts.push(noRows());
    return parts.map((rows, k) => ({
      input: {
        ...(isNewEpoch && k === 0 ? { patterns } : {}),
        ...(rows.id.length > 0 ? { rows } : {}),
        ...(k === parts.length - 1 ? { watermarks } : {}),
      },
      epoch: Math.max(epoch, this.#epoch),
      ...(through > known ? { cursor: [name, through] as const } : {}),
    }));
  }

  #commit(inputs: readonly LoggedInput[]): void {
    for (const logged of inputs) {
      const body = packChunk(JSON.stringify(logged));
      this.tables.appendLog(++this.#lastEntry, body);
      this.#noteLogged(body);
      this.#post(this.#apply(logged));
    }
    if (this.#loggedRows >= MAX_LOG_ROWS || this.#loggedBytes >= MAX_LOG_BYTES) this.#checkpoint();
  }

  #apply({ input, epoch, cursor }: LoggedInput): Outcome[] {
    const outcomes = this.machine.take(input);
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
  #replay(entry: number, body: Uint8Array): void {
    this.#apply(JSON.parse(unpackChunk(body)) as LoggedInput);
    this.#lastEntry = entry;
    this.#noteLogged(body);
  }

  #noteLogged(body: Uint8Array): void {
    this.#loggedRows++;
    this.#loggedBytes += body.length;
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
    this.#loggedBytes = 0;
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

/** The rows of all runs, cut so that each part fits a log row. */
function partsOf(runs: readonly ForwardedRun[]): GatheredRows[] {
  const parts: GatheredRows[] = [];
  let length = Infinity;
  for (const { rows } of runs) {
    for (const [row, id] of rows.id.entries()) {
      const part = length > MAX_INPUT_LENGTH ? undefined : parts.at(-1);
      const to = part ?? noRows();
      if (part === undefined) {
        parts.push(to);
        length = 0;
      }
      appendRow(to, rows, row);
      length += id.length + (rows.key[row] ?? "").length + ROW_LENGTH;
    }
  }
  return parts;
}
