import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { DeltaOutbox, type ReadLog } from "../../../core/windows/delta-outbox.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import type { DeltaHead } from "../../../core/windows/delta.ts";
import {
  aimFor,
  AT_HOME,
  begin,
  type HandOver,
  isMoving,
  nextStep,
  type Step,
  stepDone,
} from "../../../core/windows/hand-over.ts";
import { decodeKnownIds, encodeKnownIds } from "../../../core/windows/id-handover.ts";
import { IdMemory } from "../../../core/windows/id-memory.ts";
import { allPages, IdJournal, restorePage } from "../../../core/windows/id-page.ts";
import {
  adopted,
  fenced,
  firstOwnership,
  type Ownership,
  ownsAll,
  rowsByOwner,
} from "../../../core/windows/ownership.ts";
import { NOTHING_LOADED } from "../../../core/windows/aggregation.ts";
import { type MachineState, ShardMachine } from "../../../core/windows/shard-machine.ts";
import type { ShardTotals } from "../../../core/windows/shard-cursors.ts";
import { HOME, type SlotMap } from "../../../core/windows/slot-map.ts";
import { allRows, SimulatedShard } from "./simulated-shard.ts";

interface Entry {
  readonly seq: number;
  readonly events: readonly StreamEvent[];
}

/** A shard apart with its disk in memory: log, late inbox, ids, counts, and the place home has confirmed. */
class SimulatedIntake {
  readonly number: number;
  machine: ShardMachine;
  outbox: DeltaOutbox;
  #ownership: Ownership;
  /** The event store, which all objects of the tenant share: what a look-up sees. */
  readonly #sealed: StreamEvent[];
  readonly #pending = new Map<string, StreamEvent>();
  #journal = new IdJournal();
  #pages: Uint8Array[] = [];
  #saved: { readonly machine: MachineState; readonly through: number; readonly confirmed: number } | undefined;
  #log: Entry[] = [];
  #nextSeq = 0;
  #sealedThrough = 0;
  #totals: ShardTotals = { applied: 0, duplicates: 0, storedBytes: 0 };

  constructor(number: number, sealed: StreamEvent[]) {
    this.number = number;
    this.#sealed = sealed;
    this.#ownership = firstOwnership(number);
    this.machine = this.#machine();
    this.outbox = this.#outbox(0);
  }

  owns(batch: EventBatch): boolean {
    return ownsAll(new Set(this.#ownership.slots), batch);
  }

  offer(batch: EventBatch): void {
    const { fresh, unknown, duplicates } = this.machine.offer(batch, (id) => this.#pending.has(id));
    this.#count(batch.length, duplicates);
    for (const row of unknown) this.#pending.set(batch.ids[row] ?? "", batch.event(row));
    this.#keep([...fresh].map((row) => batch.event(row)));
  }

  resolve(): void {
    const known = new Set([...this.#sealed, ...this.#log.flatMap(({ events }) => events)].map(({ id }) => id));
    const fresh = [...this.#pending.values()].filter(({ id }) => !known.has(id));
    this.#count(0, this.#pending.size - fresh.length);
    this.machine.duplicates += this.#pending.size - fresh.length;
    this.#pending.clear();
    if (fresh.length > 0) this.machine.remember(EventBatch.fromEvents(fresh));
    this.#keep(fresh);
  }

  seal(): void {
    for (const { seq, events } of this.#log) {
      this.#sealed.push(...events.slice(Math.max(0, this.#sealedThrough - seq)));
      this.#sealedThrough = Math.max(this.#sealedThrough, seq + events.length);
    }
  }

  checkpoint(rewrite = false): void {
    this.#pages.push(...this.#journal.takePages());
    if (rewrite || this.#pages.length > 3) this.#pages = allPages(this.machine.deduplicator);
    const machine = JSON.parse(JSON.stringify(this.machine)) as MachineState;
    this.#saved = { machine, through: this.#nextSeq, confirmed: this.outbox.confirmed };
    const keepFrom = Math.min(this.#sealedThrough, this.outbox.confirmed);
    this.#log = this.#log.filter(({ seq, events }) => seq + events.length > keepFrom);
  }

  crash(): void {
    this.#journal = new IdJournal();
    this.machine = this.#machine();
    const through = this.#saved?.through ?? 0;
    for (const { seq, events } of this.#log) {
      if (seq < through) continue;
      const batch = EventBatch.fromEvents(events);
      this.machine.remember(batch);
      this.machine.fold(batch, allRows(batch));
    }
    this.machine.duplicates = this.#totals.duplicates;
    this.outbox = this.#outbox(this.#saved?.confirmed ?? 0);
    this.outbox.resume(this.#nextSeq);
  }

  readonly readLog: ReadLog = (fromSeq) => this.#rowsFrom(fromSeq);

  fence(epoch: number, slots: readonly number[]): void {
    this.#ownership = fenced(this.#ownership, epoch, slots) ?? this.#ownership;
  }

  exportIds(slots: readonly number[]): Uint8Array {
    return encodeKnownIds(this.machine.deduplicator.known(new Set(slots)));
  }

  adopt(epoch: number, slots: readonly number[], ids: Uint8Array): void {
    const after = adopted(this.#ownership, epoch, slots);
    if (after === null) return;
    this.#ownership = after;
    this.checkpoint(this.machine.adopt(decodeKnownIds(ids)));
  }

  eventsIn({ from, to }: DeltaHead): StreamEvent[] {
    return this.#log.flatMap(({ seq, events }) => events.filter((_, k) => seq + k >= from && seq + k < to));
  }

  *#rowsFrom(fromSeq: number): ReturnType<ReadLog> {
    let next = fromSeq;
    for (const { seq, events } of this.#log) {
      if (seq + events.length <= next) continue;
      if (seq > next) throw new Error(`the log of ${this.number} begins at ${seq}, not ${next}`);
      const batch = EventBatch.fromEvents(events);
      yield { batch, rows: allRows(batch).subarray(next - seq) };
      next = seq + events.length;
    }
  }

  #keep(events: readonly StreamEvent[]): void {
    if (events.length === 0) return;
    this.#log.push({ seq: this.#nextSeq, events });
    this.#nextSeq += events.length;
    const batch = EventBatch.fromEvents(events);
    this.machine.fold(batch, allRows(batch));
    this.outbox.note(batch, allRows(batch));
  }

  #count(applied: number, duplicates: number): void {
    const totals = this.#totals;
    this.#totals = { ...totals, applied: totals.applied + applied, duplicates: totals.duplicates + duplicates };
  }

  #outbox(confirmed: number): DeltaOutbox {
    return new DeltaOutbox({ shard: this.number, incarnation: "life", totals: () => this.#totals }, confirmed);
  }

  #machine(): ShardMachine {
    const machine = new ShardMachine(
      this.#saved?.machine,
      [],
      NOTHING_LOADED,
      (words, at, group) => this.#journal.add(words, at, group),
      new IdMemory(1 << 12, 6),
    );
    for (const page of this.#pages) restorePage(page, machine.deduplicator);
    return machine;
  }
}

/** What can go wrong with one step of a hand-over or one delta. */
export type Accident = "none" | "before" | "after";

/** A tenant's objects: home, the shards apart, their store, the queue of what is not taken yet, and the deltas that were ever sent. */
export class SimulatedTenant {
  readonly home: SimulatedShard;
  /** By number. */
  readonly sent = new Map<number, StreamEvent>();
  /** Events taken from the queue, copies included. */
  offered = 0;
  readonly #sealed: StreamEvent[] = [];
  readonly #intakes = new Map<number, SimulatedIntake>();
  /** Home's disk. */
  #handOver: HandOver = AT_HOME;
  #homeOwns: Ownership = firstOwnership(HOME);
  /** As a consumer has it that has not asked for long. */
  #oldMap: SlotMap = AT_HOME.map;
  #queue: StreamEvent[] = [];
  readonly #sentDeltas: { readonly bytes: Uint8Array; readonly from: SimulatedIntake }[] = [];

  constructor(definitions: readonly Definition[]) {
    this.home = new SimulatedShard(definitions, this.#sealed);
  }

  get objects(): readonly SimulatedIntake[] {
    return [...this.#intakes.values()];
  }

  get isMoving(): boolean {
    return isMoving(this.#handOver);
  }

  /** Wants another number of shards. */
  aim(count: number): void {
    this.#handOver = aimFor(this.#handOver, count);
  }

  /** Puts events on the queue; a consumer takes all that is there. @param isStale it goes by an old map */
  offer(events: readonly StreamEvent[], isStale = false): void {
    const waiting = [...this.#queue, ...events];
    this.#queue = [];
    if (waiting.length === 0) return;
    const { owners } = isStale ? this.#oldMap : this.#handOver.map;
    const batch = EventBatch.fromEvents(waiting);
    for (const [owner, rows] of rowsByOwner(owners, batch))
      this.#give(
        owner,
        [...rows].map((row) => batch.event(row)),
      );
    if (!isStale) this.#oldMap = this.#handOver.map;
  }

  /** The next step of a hand-over, if there is any. */
  step(accident: Accident): void {
    this.#handOver = begin(this.#handOver);
    const step = nextStep(this.#handOver);
    if (step === null) return;
    if (accident === "before") return this.home.crash();
    this.#perform(step);
    // Home dies before it has noted that the step is done, and does it again.
    if (accident === "after") return this.home.crash();
    this.#handOver = stepDone(this.#handOver);
  }

  /** A shard sends home what it has. @param accident the delta or its answer is lost */
  ship(intake: SimulatedIntake, accident: Accident = "none"): void {
    const { bytes } = intake.outbox.take(intake.readLog);
    this.#sentDeltas.push({ bytes: bytes.slice(), from: intake });
    if (accident === "before") return;
    const answer = this.home.merge(bytes, (head) => intake.eventsIn(head));
    if (accident === "none") intake.outbox.settle(answer);
  }

  /** A delta sent long ago arrives once more; nobody waits for the answer. */
  redeliver(which: number): void {
    const delta = this.#sentDeltas[which % Math.max(1, this.#sentDeltas.length)];
    if (delta !== undefined) this.home.merge(delta.bytes, (head) => delta.from.eventsIn(head));
  }

  /** Until home has merged everything. */
  shipAll(intake: SimulatedIntake): void {
    for (let k = 0; intake.outbox.hasNews; k++) {
      if (k > 1000) throw new Error("home does not go on");
      this.ship(intake);
    }
  }

  /** Ends every move, takes everything from the queue, looks up and merges everything. */
  finish(): void {
    for (let k = 0; this.isMoving; k++) {
      if (k > 10_000) throw new Error("the slots do not arrive");
      this.step("none");
    }
    this.offer([]);
    this.home.resolve();
    for (const intake of this.objects) this.#drain(intake);
    if (this.#queue.length > 0) throw new Error(`${this.#queue.length} events are refused by all`);
  }

  #give(owner: number, events: readonly StreamEvent[]): void {
    const batch = EventBatch.fromEvents(events);
    const intake = owner === HOME ? undefined : this.#object(owner);
    const owns = owner === HOME ? ownsAll(new Set(this.#homeOwns.slots), batch) : intake?.owns(batch) === true;
    if (!owns) {
      // Refused, or in transit: the message comes again.
      this.#queue.push(...events);
      return;
    }
    this.offered += events.length;
    if (intake === undefined) this.home.offer(events);
    else intake.offer(batch);
  }

  #object(number: number): SimulatedIntake | undefined {
    if (number < HOME) return undefined;
    const known = this.#intakes.get(number) ?? new SimulatedIntake(number, this.#sealed);
    this.#intakes.set(number, known);
    return known;
  }

  #drain(intake: SimulatedIntake): void {
    intake.resolve();
    intake.seal();
    this.shipAll(intake);
  }

  #perform(step: Step): void {
    switch (step.do) {
      case "fence":
        if (step.object === HOME) this.#homeOwns = fenced(this.#homeOwns, step.epoch, step.slots) ?? this.#homeOwns;
        else this.#object(step.object)?.fence(step.epoch, step.slots);
        return;
      case "drain": {
        const intake = step.object === HOME ? undefined : this.#object(step.object);
        if (intake !== undefined) return this.#drain(intake);
        this.home.resolve();
        this.home.seal();
        return;
      }
      case "copy":
        return this.#copy(step);
      case "publish":
      case "release":
        return;
    }
  }

  #copy({ from, to, epoch, slots }: Extract<Step, { do: "copy" }>): void {
    const ids = (from === HOME ? this.home : this.#object(from))?.exportIds(slots) ?? new Uint8Array();
    if (to !== HOME) return this.#object(to)?.adopt(epoch, slots, ids);
    const after = adopted(this.#homeOwns, epoch, slots);
    if (after === null) return;
    this.#homeOwns = after;
    this.home.adopt(ids);
  }
}
