import type { ShardMachine } from "../../core/windows/shard-machine.ts";
import type { LogEntry, ShardTables } from "./tables.ts";

/** Counts as of a log entry. */
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
 * The log holds new events only. What it does not hold (duplicates, late events, dead letters) is kept in a row of its own, written
 * when the object falls quiet: without it a restart would think that those are still on their way.
 */
export class Tally {
  readonly #tables: ShardTables;
  readonly #machine: ShardMachine;
  /** Lower bounds by the checkpoint and by the tally's own row; a replay raises both. */
  readonly #marks: readonly { readonly entry: number; applied: number }[];
  #applied: number;
  #isAhead = false;

  /** @param checkpoint the counts as of the last checkpoint */
  constructor(tables: ShardTables, machine: ShardMachine, checkpoint: Mark) {
    this.#tables = tables;
    this.#machine = machine;
    const saved = tables.readMeta("tally") as SavedTally | undefined;
    this.#marks = [{ ...checkpoint }, ...(saved === undefined ? [] : [{ entry: saved.entry, applied: saved.applied }])];
    this.#applied = Math.max(...this.#marks.map(({ applied }) => applied));
    machine.duplicates = Math.max(machine.duplicates, saved?.duplicates ?? 0);
  }

  /** Events taken from the queue since the shard began: new, duplicate and late ones, dead letters too. */
  get applied(): number {
    return this.#applied;
  }

  /** True while neither log nor disk know all of it. */
  get isAhead(): boolean {
    return this.#isAhead;
  }

  took(events: number, logged: number): void {
    this.#applied += events;
    if (logged < events) this.#isAhead = true;
  }

  /** Events that left the queue another way. */
  settled(events: number): void {
    this.took(events, 0);
  }

  /** Late events that turned out to be duplicates. They were counted as applied when they came. */
  foundDuplicates(events: number): void {
    this.#machine.duplicates += events;
    if (events > 0) this.#isAhead = true;
  }

  /** Takes up a log entry at a start. Late events were counted when they came, not when they were logged. */
  replay({ entry, kind, events }: LogEntry): void {
    if (kind !== "events") return;
    for (const mark of this.#marks) if (entry > mark.entry) mark.applied += events;
    this.#applied = Math.max(...this.#marks.map(({ applied }) => applied));
  }

  /** Takes up what the rate controller was once told: a crash may have lost the newest counts. */
  hear(applied: number): void {
    if (applied > this.#applied) this.settled(applied - this.#applied);
  }

  /** @param lastEntry the newest log entry, all of which the counts include */
  save(lastEntry: number): void {
    const saved: SavedTally = { entry: lastEntry, applied: this.#applied, duplicates: this.#machine.duplicates };
    this.#tables.writeMeta("tally", saved);
    this.#isAhead = false;
  }

  /** A checkpoint has it all. */
  checkpointed(): void {
    this.#isAhead = false;
  }
}
