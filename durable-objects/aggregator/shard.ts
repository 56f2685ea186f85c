import type { EventBatch } from "../../core/events/event-batch.ts";
import { restorePage } from "../../core/windows/id-page.ts";
import { type Effect, type MachineState, ShardMachine } from "../../core/windows/shard-machine.ts";
import { Checkpointer } from "./checkpoint.ts";
import { ChunkLog } from "./chunk-log.ts";
import { storedPlans } from "./definitions.ts";
import { type Counted, type IntakeDeps, takeMessages, takeResolved } from "./intake.ts";
import { LateInbox, type Resolved } from "./late-resolver.ts";
import { allRows, type ApplyOutcome, type IncomingMessage, MessageReader, readJoined } from "./messages.ts";
import { Sealer, type ShardOwner } from "./sealer.ts";
import { Slots } from "./slots.ts";
import { type LogEntry, ShardTables } from "./tables.ts";
import { Tally } from "./tally.ts";

/** Idle checks that a restart replays at most: they come without the events that would make a checkpoint due. */
const MAX_REPLAY_TICKS = 200;

/** Who hears of what happens to a shard. Called within the change: must not wait, and a throw undoes the change. */
export interface ShardObserver {
  /** Events counted just now. */
  readonly counted: (batch: EventBatch, rows: Uint32Array) => void;
  /** Events of the log, read back at a start: whoever follows them has had them. */
  readonly recalled: (batch: EventBatch, rows: Uint32Array) => void;
  readonly affected: (effects: readonly Effect[]) => void;
  /** What was done after the last checkpoint, done again at a start. */
  readonly replayed: (effects: readonly Effect[]) => void;
  /** What must outlive the log that would bring it forth again is to be written now. */
  readonly checkpointing: () => void;
}

/** What a shard stands on. */
export interface ShardGround {
  readonly storage: DurableObjectStorage;
  readonly db: D1Database;
  readonly tenant: string;
  /** The object's number; 0 is home. */
  readonly shard: number;
  /** Ends the object; it starts anew from disk. */
  readonly abort: (error: unknown) => void;
}

interface Saved {
  /** Epoch ms. */
  readonly at?: number;
  readonly incarnation: string;
  readonly checkpointEntry: number;
  readonly trimmableEntry: number;
  readonly nextSeq: number;
  readonly applied: number;
  readonly storedIds: number;
  readonly machine: MachineState;
}

/**
 * One shard in memory and on disk: the machine, the log of what it was told, and the checkpoints that keep the log short.
 *
 * Every change of both is one synchronous transaction. If it throws, the object is ended: memory is never ahead of the disk.
 */
export class Shard {
  readonly owner: ShardOwner;
  readonly tables: ShardTables;
  readonly machine: ShardMachine;
  readonly log: ChunkLog;
  readonly sealer: Sealer;
  readonly late: LateInbox;
  readonly tally: Tally;
  readonly slots: Slots;
  readonly reader = new MessageReader();
  readonly #ground: ShardGround;
  readonly #checkpointer: Checkpointer;
  #observer: ShardObserver | undefined;
  #checkpointEntry: number;
  /** Where the checkpoint before the last one was. */
  #trimmableEntry: number;
  /** Epoch ms of the last checkpoint. */
  checkpointedAt: number;
  /** Idle checks since the last checkpoint. */
  #ticks = 0;

  constructor(ground: ShardGround) {
    this.#ground = ground;
    this.tables = new ShardTables(ground.storage.sql);
    this.slots = new Slots(this.tables, ground.shard);
    const saved = this.tables.readMeta("machine") as Saved | undefined;
    this.owner = {
      tenant: ground.tenant,
      shard: ground.shard,
      incarnation: saved?.incarnation ?? crypto.randomUUID().slice(0, 8),
    };
    this.checkpointedAt = saved?.at ?? Date.now();
    this.#checkpointEntry = saved?.checkpointEntry ?? 0;
    this.#trimmableEntry = saved?.trimmableEntry ?? 0;
    this.#checkpointer = new Checkpointer(this.tables, saved?.storedIds ?? 0);
    this.machine = this.#restoreMachine(saved?.machine);
    this.log = new ChunkLog(this.tables, saved?.nextSeq ?? 0, this.#checkpointEntry);
    this.tally = new Tally(this.tables, this.machine, { entry: this.#checkpointEntry, applied: saved?.applied ?? 0 });
    this.sealer = new Sealer(this.tables, this.log, ground.db, this.owner);
    this.late = new LateInbox(this.tables, ground.db, this.owner);
    if (saved === undefined) this.#save();
  }

  /** Brings memory from the checkpoint to the end of the log, and tells `observer` of everything from now on. Call it once, first. */
  start(observer: ShardObserver): void {
    this.#observer = observer;
    const { log, sealer } = this;
    // With the store away the log may be long; what lies before the last two checkpoints waits for sealing only.
    for (const head of this.tables.logHeads(this.#trimmableEntry))
      log.recover(head, log.headsOf(head), sealer.sealedThrough);
    for (const entry of this.tables.logAfter(this.#trimmableEntry)) this.#replay(entry, observer);
  }

  /** Epoch ms by which to checkpoint, or null when there is nothing to write. */
  get checkpointDueAt(): number | null {
    return this.#ticks >= MAX_REPLAY_TICKS ? 0 : this.#checkpointer.dueAt;
  }

  /**
   * Takes messages in and logs what they brought.
   * @param isCareful decode every row first, so that a bad message fails before anything has changed
   */
  take(messages: readonly IncomingMessage[], isCareful: boolean, nowMs: number): ApplyOutcome {
    if (isCareful) for (const { body } of messages) this.reader.check(body);
    return this.#change(() => {
      const { outcome, ...counted } = takeMessages(messages, this.#intake());
      this.#commit(counted, "events", nowMs);
      return outcome;
    });
  }

  /** Counts what a look-up of late events found. */
  admit(resolved: Resolved, nowMs: number): void {
    this.#change(() => this.#commit(takeResolved(resolved, this.#intake()), "late", nowMs));
  }

  /** An idle check. @param asOf epoch ms up to which silence is the sources' own */
  tick(asOf: number, nowMs: number): void {
    this.#change(() => {
      const effects = this.machine.tick(asOf);
      this.log.appendTick(asOf);
      this.#ticks++;
      this.#commit({ kept: [], effects }, "events", nowMs);
    });
  }

  /** Makes a change that the log does not hold: a checkpoint goes with it, so that a replay begins after it. */
  checkpoint(change?: () => void): void {
    this.#change(() => {
      change?.();
      this.#checkpoint();
    });
  }

  checkpointIfDue(nowMs: number): void {
    if (isDue(this.checkpointDueAt, nowMs)) this.checkpoint();
  }

  /** Counts events that left the queue another way. */
  settle(events: number): void {
    this.#change(() => {
      this.tally.took(events, 0);
      this.tally.save(this.log.lastEntry);
    });
  }

  /**
   * Log rows go only up to what is both sealed and checkpointed, one checkpoint later than they could: what live readers see of the
   * last minutes is read back from them after an eviction.
   */
  trim(): void {
    const through = Math.min(this.#trimmableEntry, this.log.sealedEntry);
    if (through > 0) this.tables.trimLog(through);
  }

  #change<T>(change: () => T): T {
    try {
      return this.#ground.storage.transactionSync(change);
    } catch (error) {
      this.#ground.abort(error);
      throw error;
    }
  }

  /** Logs what was counted and tells of it. */
  #commit({ kept, effects }: Counted, kind: "events" | "late", nowMs: number): void {
    if (kept.length > 0) {
      const { events, bytes } = this.log.append(kept, kind, nowMs);
      this.#checkpointer.noteLogged(events, bytes, nowMs);
    }
    this.tally.save(this.log.lastEntry);
    this.#observer?.affected(effects);
    if (isDue(this.checkpointDueAt, nowMs)) this.#checkpoint();
  }

  #checkpoint(): void {
    this.#checkpointer.write(this.machine);
    this.#observer?.checkpointing();
    this.#trimmableEntry = this.#checkpointEntry;
    this.#checkpointEntry = this.log.lastEntry;
    this.#ticks = 0;
    this.#save();
    this.trim();
  }

  #save(): void {
    this.checkpointedAt = Date.now();
    const saved: Saved = {
      at: this.checkpointedAt,
      incarnation: this.owner.incarnation,
      checkpointEntry: this.#checkpointEntry,
      trimmableEntry: this.#trimmableEntry,
      nextSeq: this.log.nextSeq,
      applied: this.tally.applied,
      storedIds: this.#checkpointer.storedIds,
      machine: this.machine.toJSON(),
    };
    this.tables.writeMeta("machine", saved);
  }

  #restoreMachine(state: MachineState | undefined): ShardMachine {
    const machine = new ShardMachine(
      state,
      storedPlans(this.tables),
      (aggregation, start) => {
        const parts = this.tables.windowParts(aggregation, start);
        return parts.length === 0 ? undefined : parts;
      },
      (words, at, group) => this.#checkpointer.journal.add(words, at, group),
    );
    for (const page of this.tables.idPages()) restorePage(page, machine.deduplicator);
    return machine;
  }

  #replay(entry: LogEntry, observer: ShardObserver): void {
    const isNew = entry.entry > this.#checkpointEntry;
    if (entry.kind === "tick") {
      this.log.lastEntry = entry.entry;
      if (isNew) observer.replayed(this.machine.tick(entry.at));
      if (isNew) this.#ticks++;
      return;
    }
    const batches = readJoined(entry.body);
    for (const batch of batches) observer.recalled(batch, allRows(batch));
    if (isNew) {
      for (const batch of batches) {
        this.machine.remember(batch);
        observer.replayed(this.machine.fold(batch, allRows(batch)));
      }
      this.tally.replay(entry);
      this.#checkpointer.noteLogged(entry.events, entry.body.length, entry.at);
    }
    this.log.recover(entry, this.log.headsOf(entry), this.sealer.sealedThrough);
  }

  #intake(): IntakeDeps {
    const { machine, reader, late, tally, slots } = this;
    return { machine, reader, late, tally, slots, onCounted: (batch, rows) => this.#observer?.counted(batch, rows) };
  }
}

const isDue = (at: number | null, nowMs: number): boolean => at !== null && at <= nowMs;
