import type { EventBatch } from "../../core/events/event-batch.ts";
import { spanOf, type TimeSpan } from "../../core/events/span.ts";
import type { Effect, ShardMachine } from "../../core/windows/shard-machine.ts";
import { type KeptChunk, repack } from "./chunk-log.ts";
import type { LateInbox, Resolved } from "./late-resolver.ts";
import { allRows, type ApplyOutcome, type IncomingMessage, type MessageReader, readChunk } from "./messages.ts";
import type { Slots } from "./slots.ts";
import type { Tally } from "./tally.ts";

/** What one change counted, to be logged together. */
export interface Counted {
  readonly kept: readonly KeptChunk[];
  readonly effects: readonly Effect[];
}

export interface IntakeDeps {
  readonly machine: ShardMachine;
  readonly reader: MessageReader;
  readonly slots: Slots;
  readonly late: LateInbox;
  readonly tally: Tally;
  readonly onCounted: (batch: EventBatch, rows: Uint32Array) => void;
}

/** Takes messages in: decides which events are new and counts them; those it cannot decide go to the late inbox. */
export function takeMessages(
  messages: readonly IncomingMessage[],
  deps: IntakeDeps,
): Counted & { outcome: ApplyOutcome } {
  const { machine, late, tally, slots } = deps;
  const counted = new Counting(deps);
  const outcome = { fresh: 0, duplicates: 0, late: 0, unreadable: [] as string[], refused: [] as string[] };
  for (const { id, body } of messages) {
    const batch = deps.reader.read(body);
    if (batch === undefined) {
      outcome.unreadable.push(id);
      continue;
    }
    if (!slots.owns(batch)) {
      outcome.refused.push(id);
      continue;
    }
    const { fresh, unknown, duplicates } = machine.offer(batch, (eventId) => late.has(eventId));
    tally.took(batch.length, fresh.length);
    // A message that is new as a whole is logged as it came: packing it again costs more than counting it.
    if (fresh.length === batch.length) counted.add(batch, fresh, { events: batch.length, body, batch });
    else if (fresh.length > 0) counted.add(batch, fresh, { events: fresh.length, body: repack(batch, fresh) });
    if (unknown.length > 0) late.add(batch, unknown);
    outcome.fresh += fresh.length;
    outcome.duplicates += duplicates;
    outcome.late += unknown.length;
  }
  return { ...counted, outcome };
}

/** Counts the late events that a look-up found to be new, and takes all that it looked up out of the inbox. */
export function takeResolved(resolved: Resolved, deps: IntakeDeps): Counted {
  const counted = new Counting(deps);
  for (const { batch, rows } of resolved.batches) {
    if (rows.length === 0) continue;
    const body = repack(batch, rows);
    const fresh = readChunk(body);
    deps.machine.remember(fresh);
    counted.add(fresh, allRows(fresh), { events: rows.length, body, batch: fresh });
  }
  deps.late.settle(resolved);
  deps.tally.foundDuplicates(resolved.duplicates);
  return counted;
}

class Counting implements Counted {
  readonly kept: KeptChunk[] = [];
  readonly effects: Effect[] = [];
  readonly #deps: IntakeDeps;

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
  }

  add(batch: EventBatch, rows: Uint32Array, chunk: Omit<KeptChunk, keyof TimeSpan>): void {
    this.kept.push({ ...chunk, ...spanOf(batch.timestamps, rows) });
    this.effects.push(...this.#deps.machine.fold(batch, rows));
    this.#deps.onCounted(batch, rows);
  }
}
