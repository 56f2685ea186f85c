import type { ShardMachine } from "../../core/windows/shard-machine.ts";
import type { LogEntry, ShardTables } from "./tables.ts";

/** Events taken from the queue up to a log entry. */
interface Mark {
  readonly entry: number;
  readonly applied: number;
}

interface SavedTally extends Mark {
  readonly duplicates: number;
}

/**
 * How many events were taken from the queue, and how many of them were duplicates.
 *
 * The log holds only what is new. A change that takes more from the queue than it logs (duplicates, late events, dead letters)
 * writes these counts with it: after a restart the shard would else wait for events that it has had.
 */
export class Tally {
  readonly #tables: ShardTables;
  readonly #machine: ShardMachine;
  #applied: number;
  /** The log entries that `#applied` includes at a start. */
  readonly #entry: number;
  #isAhead = false;

  /** @param checkpoint the count as of the last checkpoint */
  constructor(tables: ShardTables, machine: ShardMachine, checkpoint: Mark) {
    const saved = tables.readMeta("tally") as SavedTally | undefined;
    this.#tables = tables;
    this.#machine = machine;
    const isNewer = saved !== undefined && (saved.entry > checkpoint.entry || saved.applied > checkpoint.applied);
    this.#applied = isNewer ? saved.applied : checkpoint.applied;
    this.#entry = isNewer ? saved.entry : checkpoint.entry;
    machine.duplicates = Math.max(machine.duplicates, saved?.duplicates ?? 0);
  }

  /** Events taken from the queue since the shard began: new, duplicate and late ones, dead letters too. */
  get applied(): number {
    return this.#applied;
  }

  /** @param logged how many of `events` are in the log */
  took(events: number, logged: number): void {
    this.#applied += events;
    this.#isAhead ||= logged < events;
  }

  /** Late events that turned out to be duplicates. They were counted as taken when they came. */
  foundDuplicates(events: number): void {
    this.#machine.duplicates += events;
    this.#isAhead ||= events > 0;
  }

  /** Takes up a log entry at a start. Late events were counted when they came, not when they were logged. */
  replay({ entry, kind, events }: LogEntry): void {
    if (kind === "events" && entry > this.#entry) this.#applied += events;
  }

  /** Writes what the log does not say, if there is any. @param lastEntry the newest log entry */
  save(lastEntry: number): void {
    if (!this.#isAhead) return;
    const saved: SavedTally = { entry: lastEntry, applied: this.#applied, duplicates: this.#machine.duplicates };
    this.#tables.writeMeta("tally", saved);
    this.#isAhead = false;
  }
}
