import type { EventBatch } from "../events/event-batch.ts";
import { FINGERPRINT_WORDS, fingerprint, slotOf } from "./fingerprint.ts";
import { HOME, SLOTS } from "./slot-map.ts";

/** What one object knows of the slots it owns; kept on its disk. */
export interface Ownership {
  /** Of the newest order it has followed; an older one comes from a home that has been replaced, and is not followed. */
  readonly epoch: number;
  /** Ascending. */
  readonly slots: readonly number[];
}

/** What an object owns that was never told anything. */
export function firstOwnership(object: number): Ownership {
  return { epoch: 0, slots: object === HOME ? Array.from({ length: SLOTS }, (_, slot) => slot) : [] };
}

/** After giving slots up, or null when the order is an old one. */
export function fenced(known: Ownership, epoch: number, slots: readonly number[]): Ownership | null {
  if (epoch < known.epoch) return null;
  const given = new Set(slots);
  return { epoch, slots: known.slots.filter((slot) => !given.has(slot)) };
}

/** After taking slots over, or null when the order is an old one. */
export function adopted(known: Ownership, epoch: number, slots: readonly number[]): Ownership | null {
  if (epoch < known.epoch) return null;
  return { epoch, slots: [...new Set([...known.slots, ...slots])].sort((a, b) => a - b) };
}

/** True when every event of a batch lies in one of these slots. */
export function ownsAll(slots: ReadonlySet<number>, batch: EventBatch): boolean {
  if (slots.size === SLOTS) return true;
  const words = new Uint32Array(FINGERPRINT_WORDS);
  return batch.ids.every((id) => {
    fingerprint(id, words, 0);
    return slots.has(slotOf(words, 0));
  });
}

/** The rows of a batch by the owner of their slots, in the batch's order. */
export function rowsByOwner(owners: readonly number[], batch: EventBatch): Map<number, Uint32Array> {
  const words = new Uint32Array(FINGERPRINT_WORDS);
  const rows = new Map<number, number[]>();
  for (const [row, id] of batch.ids.entries()) {
    fingerprint(id, words, 0);
    const owner = owners[slotOf(words, 0)] ?? HOME;
    const known = rows.get(owner);
    if (known === undefined) rows.set(owner, [row]);
    else known.push(row);
  }
  return new Map([...rows].map(([owner, list]) => [owner, Uint32Array.from(list)]));
}
