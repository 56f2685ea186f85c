import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { groupJson, valuesOf } from "../../../core/windows/aggregation.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { decodeDelta, decodeDeltaHead, type Delta, type DeltaHead } from "../../../core/windows/delta.ts";
import type { MergeAnswer } from "../../../core/windows/delta-terms.ts";
import { decodeKnownIds, encodeKnownIds } from "../../../core/windows/id-handover.ts";
import { IdMemory } from "../../../core/windows/id-memory.ts";
import { allPages, IdJournal, restorePage } from "../../../core/windows/id-page.ts";
import { type Plan, planOf } from "../../../core/windows/plan.ts";
import type { Aggregation } from "../../../core/windows/aggregation.ts";
import { SeenFilter, type SeenState } from "../../../core/windows/seen-filter.ts";
import { type Effect, type MachineState, ShardMachine } from "../../../core/windows/shard-machine.ts";
import type { StoredKeys, WindowView } from "../../../core/windows/window-set.ts";

/** Room for 3, 6, 12 and 12 ids, so that layers fill up, look full of known ids, and are given up in the longest runs. */
const SEEN_LAYERS = [8, 16, 32, 32];
/** Ids that are stored as they are, so that layers are written at some checkpoints and not at others. */
const SEEN_JOURNAL = 5;

export function plan(definition: Definition): Plan {
  const planned = planOf(definition);
  if (!planned.ok) throw new Error(JSON.stringify(planned.problems));
  return planned.plan;
}

export const allRows = (batch: EventBatch): Uint32Array => Uint32Array.from({ length: batch.length }, (_, row) => row);

export type Logged =
  | { readonly kind: "events"; readonly events: readonly StreamEvent[] }
  | { readonly kind: "tick"; readonly at: number };

type Entry = Logged | { readonly kind: "delta"; readonly bytes: Uint8Array };

/** A shard with its disk in memory: the machine, a checkpoint, a log behind it and an event store that look-ups read. */
export class SimulatedShard {
  machine: ShardMachine;
  /** Every event that is stored, in order. */
  readonly stored: StreamEvent[] = [];
  /** Windows told as closed or revised, in order. */
  readonly closings: {
    readonly aggregation: string;
    readonly start: number;
    readonly end: number;
    readonly revision: number;
  }[] = [];
  /** Everything that was ever logged. */
  readonly history: Logged[] = [];
  /** What a live reader has: windows by name, with their ends. Kept only by the changes told. */
  readonly seen = new Map<string, number>();
  offered = 0;
  #plans: readonly { id: number; plan: Plan }[];
  /** Stored records by aggregation and key. */
  readonly #windows = new Map<number, Map<number, readonly Uint8Array[]>>();
  #journal = new IdJournal();
  #pages: Uint8Array[] = [];
  #state: MachineState | undefined;
  #seenState: SeenState = new SeenFilter().toJSON();
  readonly #seenLayers = new Map<number, Uint8Array>();
  #log: Entry[] = [];
  /** Kept beside the log, which does not hold them. */
  #duplicates = 0;
  /** The event store, which the tenant's objects share: what they have sealed of what they stored. */
  readonly #sealed: StreamEvent[];
  #sealedThrough = 0;
  readonly #pending = new Map<string, StreamEvent>();

  constructor(definitions: readonly Definition[], sealed: StreamEvent[] = []) {
    this.#sealed = sealed;
    this.#plans = definitions.map((definition, k) => ({ id: k + 1, plan: plan(definition) }));
    this.machine = this.#boot();
  }

  offer(events: readonly StreamEvent[]): void {
    if (events.length === 0) return;
    this.offered += events.length;
    const batch = EventBatch.fromEvents(events);
    const { fresh, unknown } = this.machine.offer(batch, (id) => this.#pending.has(id));
    this.#duplicates = this.machine.duplicates;
    for (const row of unknown) this.#pending.set(batch.ids[row] ?? "", batch.event(row));
    this.#keep(
      [...fresh].map((row) => batch.event(row)),
      (kept) => this.machine.fold(kept, allRows(kept)),
    );
  }

  /** Looks the pending events up in the store, as the slow path does. */
  resolve(): void {
    const known = new Set([...this.stored, ...this.#sealed].map(({ id }) => id));
    const fresh = [...this.#pending.values()].filter(({ id }) => !known.has(id));
    this.machine.duplicates += this.#pending.size - fresh.length;
    this.#duplicates = this.machine.duplicates;
    this.#pending.clear();
    this.#keep(fresh, (kept) => {
      this.machine.remember(kept);
      return this.machine.fold(kept, allRows(kept));
    });
  }

  seal(): void {
    this.#sealed.push(...this.stored.slice(this.#sealedThrough));
    this.#sealedThrough = this.stored.length;
  }

  /** Merges a shard's delta if it is the one awaited. @param eventsOf what it was counted from, for the history */
  merge(bytes: Uint8Array, eventsOf: (head: DeltaHead) => readonly StreamEvent[]): MergeAnswer {
    const head = decodeDeltaHead(bytes);
    if (this.machine.awaits(head) && this.machine.brings(head)) {
      this.#log.push({ kind: "delta", bytes });
      if (head.to > head.from) this.history.push({ kind: "events", events: eventsOf(head) });
      this.#note(this.machine.merge(this.#decode(bytes)));
    }
    return this.machine.answer(head);
  }

  exportIds(slots: readonly number[]): Uint8Array {
    return encodeKnownIds(this.machine.deduplicator.known(new Set(slots)));
  }

  adopt(ids: Uint8Array): void {
    this.checkpoint(this.machine.adopt(decodeKnownIds(ids)));
  }

  /** Makes an aggregation; a checkpoint goes with it. */
  define(definition: Definition): void {
    const made = { id: this.#plans.length + 1, plan: plan(definition) };
    this.#plans = [...this.#plans, made];
    this.machine.define(made.id, 1, made.plan);
    this.checkpoint();
  }

  tick(at: number): void {
    this.#append({ kind: "tick", at });
    this.#note(this.machine.tick(at));
  }

  /** @param rewrite replaces all stored ids */
  checkpoint(rewrite = false): void {
    for (const { id, windows } of this.machine.aggregations.values()) {
      for (const { key, parts, storedParts } of windows.takeDirty()) {
        const known = this.#windows.get(id)?.get(key)?.length ?? 0;
        if (storedParts !== known) throw new Error(`record ${key} has ${known} parts, not ${storedParts}`);
        const records = this.#windows.get(id) ?? new Map<number, readonly Uint8Array[]>();
        if (parts.length === 0) records.delete(key);
        else records.set(key, withParts(records.get(key), parts));
        this.#windows.set(id, records);
      }
      for (const { key } of windows.resting()) windows.forget(key);
    }
    this.#pages.push(...this.#journal.takePages());
    if (rewrite || this.#pages.length > 3) this.#pages = allPages(this.machine.deduplicator);
    const { seen } = this.machine.deduplicator;
    for (const { layer, bits } of seen.takeChanged()) this.#seenLayers.set(layer, bits.slice());
    this.#seenState = seen.toJSON();
    this.#state = JSON.parse(JSON.stringify(this.machine)) as MachineState;
    this.#log = [];
  }

  /** Loses memory; the pending inbox is durable and stays. */
  crash(): void {
    this.#journal = new IdJournal();
    this.machine = this.#boot();
    for (const logged of this.#log) {
      if (logged.kind === "tick") this.machine.tick(logged.at);
      else if (logged.kind === "delta") this.machine.merge(this.#decode(logged.bytes));
      else {
        const batch = EventBatch.fromEvents(logged.events);
        this.machine.remember(batch);
        this.machine.fold(batch, allRows(batch));
      }
    }
    this.machine.duplicates = this.#duplicates;
  }

  /** Values of every window by aggregation, start, end and group. */
  results(): Map<string, Record<string, unknown>> {
    const found = new Map<string, Record<string, unknown>>();
    for (const aggregation of this.machine.aggregations.values()) {
      for (const window of this.list(aggregation)) {
        for (const group of window.groups.values())
          found.set(
            nameOf(aggregation, window, group.key),
            valuesOf(aggregation.plan, group, window.end - window.start),
          );
      }
    }
    return found;
  }

  list(aggregation: Aggregation, from = -Infinity, to = Infinity): WindowView[] {
    return [...aggregation.windows.list(from, to, this.storedKeys(aggregation.id))];
  }

  storedKeys(aggregation: number): StoredKeys {
    return (from, to, limit) =>
      [...(this.#windows.get(aggregation)?.keys() ?? [])]
        .filter((key) => key >= from && key < to)
        .sort((a, b) => a - b)
        .slice(0, limit);
  }

  #keep(events: readonly StreamEvent[], fold: (batch: EventBatch) => Effect[]): void {
    if (events.length === 0) return;
    this.#append({ kind: "events", events });
    this.stored.push(...events);
    this.#note(fold(EventBatch.fromEvents(events)));
  }

  #decode(bytes: Uint8Array): Delta {
    return decodeDelta(bytes, (id) => this.#plans.find((known) => known.id === id)?.plan);
  }

  #append(logged: Logged): void {
    this.#log.push(logged);
    this.history.push(logged);
  }

  #note(effects: readonly Effect[]): void {
    for (const { aggregation, touched, emitted, gone } of effects) {
      const { name } = aggregation.plan.definition;
      for (const { start, end, revision } of emitted) this.closings.push({ aggregation: name, start, end, revision });
      for (const { start, session } of gone) this.seen.delete(`${name} ${start} ${session ?? ""}`);
      for (const { start, end, session } of touched) this.seen.set(`${name} ${start} ${session ?? ""}`, end);
    }
  }

  #boot(): ShardMachine {
    const machine = new ShardMachine(
      this.#state,
      this.#plans,
      (aggregation, keys, part) => partsOf(this.#windows.get(aggregation), keys, part),
      (words, at, group) => this.#journal.add(words, at, group),
      // Room for a few groups only, so that forgetting and look-ups happen all the time.
      new IdMemory(1 << 12, 6),
      SeenFilter.restore(
        this.#seenState,
        Array.from(this.#seenLayers, ([layer, bits]) => ({ layer, bits })),
        SEEN_LAYERS,
        SEEN_JOURNAL,
      ),
    );
    for (const page of this.#pages) restorePage(page, machine.deduplicator);
    return machine;
  }
}

/** A record after a write that leaves out the parts that are as they were. */
export function withParts(
  known: readonly Uint8Array[] | undefined,
  parts: readonly (Uint8Array | null)[],
): readonly Uint8Array[] {
  return parts.map((part, k) => {
    const kept = part ?? known?.[k];
    if (kept === undefined) throw new Error(`part ${k} was never written`);
    return kept;
  });
}

/** What is loaded of those records that are there: all of it, or one part. */
export function partsOf(
  records: ReadonlyMap<number, readonly Uint8Array[]> | undefined,
  keys: readonly number[],
  part: number | undefined,
): ReadonlyMap<number, readonly Uint8Array[]> {
  const found = new Map<number, readonly Uint8Array[]>();
  for (const key of keys) {
    const record = records?.get(key);
    if (record !== undefined) found.set(key, part === undefined ? record : record.slice(part, part + 1));
  }
  return found;
}

/** Aggregation, start, end and group of a window's entry, as text. */
function nameOf(aggregation: Aggregation, { start, end }: WindowView, key: string): string {
  return `${aggregation.plan.definition.name} ${start} ${end} ${JSON.stringify(groupJson(aggregation.plan, key))}`;
}
