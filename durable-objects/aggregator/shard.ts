import type { EventBatch } from "../../core/events/event-batch.ts";
import { DeltaOutbox, type ReadLog } from "../../core/windows/delta-outbox.ts";
import type { MergeAnswer } from "../../core/windows/delta-terms.ts";
import { decodeDelta, decodeDeltaHead, decodeDeltaNews } from "../../core/windows/delta.ts";
import { decodeKnownIds, encodeKnownIds } from "../../core/windows/id-handover.ts";
import type { Plan } from "../../core/windows/plan.ts";
import { restorePage } from "../../core/windows/id-page.ts";
import { type MachineState, ShardMachine } from "../../core/windows/shard-machine.ts";
import { HOME } from "../../core/windows/slot-map.ts";
import { Checkpointer } from "./checkpoint.ts";
import { ChunkLog } from "./chunk-log.ts";
import { DeltaRows, rowsFrom, unpackDelta } from "./delta-log.ts";
import { storedPlans } from "./definitions.ts";
import { type Counted, type IntakeDeps, takeMessages, takeResolved } from "./intake.ts";
import { LateInbox, type Resolved } from "./late-resolver.ts";
import { allRows, type ApplyOutcome, type IncomingMessage, MessageReader, readJoined } from "./messages.ts";
import { Sealer, type ShardOwner } from "./sealer.ts";
import type { ShardGround, ShardObserver } from "./shard-observer.ts";
import { Slots } from "./slots.ts";
import { type LogEntry, ShardTables } from "./tables.ts";
import { Tally } from "./tally.ts";

/** Idle checks that a restart replays at most: they come without the events that would make a checkpoint due. */
const MAX_REPLAY_TICKS = 200;

/** What merging an event of a delta takes of the time that counting it takes: a replay may hold so many more. */
const MERGING_SHARE = 0.1;

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
  /** What home has not merged yet; home itself has none. */
  readonly outbox: DeltaOutbox | undefined;
  readonly reader = new MessageReader();
  readonly #ground: ShardGround;
  readonly #checkpointer: Checkpointer;
  #observer: ShardObserver | undefined;
  #checkpointEntry: number;
  /** Where the checkpoint before the last one was. */
  #trimmableEntry: number;
  #savedConfirmed: number;
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
    this.outbox = this.#outboxOf((this.tables.readMeta("confirmed") as number | undefined) ?? 0);
    this.#savedConfirmed = this.outbox?.confirmed ?? 0;
    if (saved === undefined) this.#save();
  }

  /** True for the object that keeps the tenant's windows. */
  get isHome(): boolean {
    return this.owner.shard === HOME;
  }

  /** Brings memory from the checkpoint to the end of the log, and tells `observer` of everything from now on. Call it once, first. */
  start(observer: ShardObserver): void {
    this.#observer = observer;
    const { log, sealer } = this;
    // With the store away the log may be long; what lies before the last two checkpoints waits for sealing only.
    for (const head of this.tables.logHeads(this.#trimmableEntry))
      log.recover(head, log.headsOf(head), sealer.sealedThrough);
    const deltaRows = new DeltaRows();
    for (const entry of this.tables.logAfter(this.#trimmableEntry)) {
      if (entry.kind === "delta" || entry.kind === "delta_part") this.#replayDelta(entry, deltaRows, observer);
      else this.#replay(entry, observer);
    }
    this.outbox?.resume(log.nextSeq);
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

  /**
   * Merges what a shard counted, if it is what comes next of that shard; home's to do.
   * @param packed by `packDelta`
   * @throws CorruptChunkError, CorruptStateError when it cannot be read; nothing has changed then
   */
  merge(packed: Uint8Array, nowMs: number): MergeAnswer {
    const bytes = unpackDelta(packed);
    const head = decodeDeltaHead(bytes);
    if (this.machine.awaits(head) && this.machine.brings(head)) {
      const plans = this.#plans();
      const delta = decodeDelta(bytes, (id) => plans.get(id));
      this.#change(() => {
        const effects = this.machine.merge(delta);
        this.log.appendDelta(packed, nowMs);
        this.#checkpointer.noteLogged((delta.to - delta.from) * MERGING_SHARE, packed.length, nowMs);
        this.#observer?.merged(delta);
        this.#commit({ kept: [], effects }, "events", nowMs);
      });
    }
    return this.machine.answer(head);
  }

  /** The answer to a delta that is not merged. */
  standing(packed: Uint8Array): MergeAnswer {
    return this.machine.answer(decodeDeltaHead(unpackDelta(packed)));
  }

  /** Rows of the log from a sequence number on, as they were counted. @throws Error when the log does not reach back so far */
  readonly readLog: ReadLog = (fromSeq) => rowsFrom(this.tables.logFrom(fromSeq), fromSeq, this.log.nextSeq);

  /** What is remembered of the ids in these slots. */
  exportIds(slots: readonly number[]): Uint8Array {
    return encodeKnownIds(this.machine.deduplicator.known(new Set(slots)));
  }

  /** Remembers what another shard knew of the ids in these slots, and from then on takes their events. @throws CorruptStateError */
  adopt(epoch: number, slots: readonly number[], ids: Uint8Array): void {
    if (!this.slots.heeds(epoch)) return;
    const known = decodeKnownIds(ids);
    this.checkpoint(() => {
      if (this.machine.adopt(known)) this.#checkpointer.rewriteIds();
      this.slots.adopt(epoch, slots);
    });
  }

  /** Forgets all ids, for there is no slot left whose events come here. */
  forgetIds(): void {
    this.#checkpointer.rewriteIds();
    this.checkpoint(() => this.machine.deduplicator.forgetAll());
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
   * Log rows go only up to what is sealed, checkpointed and merged at home, one checkpoint later than they could: what live readers
   * see of the last minutes is read back from them after an eviction.
   */
  trim(): void {
    const held = this.#observer?.heldAfter() ?? 0;
    const through = Math.min(this.#trimmableEntry, this.log.sealedEntry, this.#confirmedEntry, held);
    if (through > 0) this.tables.trimLog(through);
  }

  /** Notes how far home has come. Home knows it anyway; but a shard that woke to be asked shall not have to ask. */
  saveConfirmed(): void {
    if (this.outbox === undefined || this.outbox.confirmed === this.#savedConfirmed) return;
    this.#savedConfirmed = this.outbox.confirmed;
    this.tables.writeMeta("confirmed", this.#savedConfirmed);
  }

  /** The newest log entry all of whose events are merged at home. */
  get #confirmedEntry(): number {
    if (this.outbox === undefined) return this.log.lastEntry;
    return (this.tables.entryOf(this.outbox.confirmed) ?? this.log.lastEntry + 1) - 1;
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
      let unwritten = 0;
      for (const { windows } of this.machine.aggregations.values()) unwritten += windows.unwritten;
      this.#checkpointer.noteUnwritten(unwritten);
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
    this.saveConfirmed();
  }

  #restoreMachine(state: MachineState | undefined): ShardMachine {
    const machine = new ShardMachine(
      state,
      this.isHome ? storedPlans(this.tables) : [],
      this.tables.windowParts,
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

  #replayDelta(entry: LogEntry, rows: DeltaRows, observer: ShardObserver): void {
    this.log.recover(entry, [], this.sealer.sealedThrough);
    const packed = rows.add(entry);
    if (packed === undefined) return;
    const bytes = unpackDelta(packed);
    // One that a checkpoint has may be of definitions that are no more.
    observer.mergedBefore(decodeDeltaNews(bytes));
    if (entry.entry <= this.#checkpointEntry) return;
    const plans = this.#plans();
    // With another version of this program a definition may no longer compile, and be disabled.
    const delta = decodeDelta(bytes, (id) => plans.get(id) ?? null);
    observer.replayed(this.machine.merge(delta));
    this.#checkpointer.noteLogged((delta.to - delta.from) * MERGING_SHARE, packed.length, entry.at);
  }

  #plans(): ReadonlyMap<number, Plan> {
    return new Map([...this.machine.aggregations.values()].map(({ id, plan }) => [id, plan]));
  }

  #outboxOf(confirmed: number): DeltaOutbox | undefined {
    if (this.isHome) return undefined;
    const { shard, incarnation } = this.owner;
    const totals = () => ({
      applied: this.tally.applied,
      duplicates: this.machine.duplicates,
      storedBytes: this.sealer.storedBytes + this.log.unsealedBytes,
    });
    return new DeltaOutbox({ shard, incarnation, totals }, confirmed);
  }

  #intake(): IntakeDeps {
    const { machine, reader, late, tally, slots } = this;
    const onCounted = (batch: EventBatch, rows: Uint32Array): void => {
      this.outbox?.note(batch, rows);
      this.#observer?.counted(batch, rows);
    };
    return { machine, reader, late, tally, slots, onCounted };
  }
}

const isDue = (at: number | null, nowMs: number): boolean => at !== null && at <= nowMs;
