import { rowsByOwner } from "../../core/windows/ownership.ts";
import { IN_TRANSIT, type SlotMap, soleOwner } from "../../core/windows/slot-map.ts";
import { repack } from "../../durable-objects/aggregator/chunk-log.ts";
import { type IncomingMessage, MessageReader } from "../../durable-objects/aggregator/messages.ts";

/** What of some messages goes where. */
export interface Parts {
  /** By the owner's number; each message has at most one part for each. */
  readonly byOwner: ReadonlyMap<number, readonly IncomingMessage[]>;
  /** Parts that nobody takes now, because their slots are being handed over. */
  readonly inTransit: readonly IncomingMessage[];
  /** Ids of messages that cannot be read. */
  readonly unreadable: readonly string[];
  /** Messages that can be opened, but not taken apart. */
  readonly broken: readonly { readonly id: string; readonly error: unknown }[];
}

const reader = new MessageReader();

/**
 * Takes messages apart by the owners of their events. With one owner they stay as they are, unopened; else each is opened once,
 * one at a time, for its text is several times its size.
 */
export function partsOf(messages: readonly IncomingMessage[], map: SlotMap): Parts {
  const sole = soleOwner(map);
  if (sole !== null) return { byOwner: new Map([[sole, messages]]), inTransit: [], unreadable: [], broken: [] };
  const byOwner = new Map<number, IncomingMessage[]>();
  const unreadable: string[] = [];
  const broken: { id: string; error: unknown }[] = [];
  for (const message of messages) {
    try {
      const parts = partsOfOne(message, map);
      if (parts === undefined) unreadable.push(message.id);
      for (const [owner, part] of parts ?? []) byOwner.set(owner, [...(byOwner.get(owner) ?? []), part]);
    } catch (error) {
      broken.push({ id: message.id, error });
    }
  }
  const inTransit = byOwner.get(IN_TRANSIT) ?? [];
  byOwner.delete(IN_TRANSIT);
  return { byOwner, inTransit, unreadable, broken };
}

/** A message's parts, or undefined when it cannot be read. @throws when a row cannot be built */
function partsOfOne(message: IncomingMessage, { owners }: SlotMap): Map<number, IncomingMessage> | undefined {
  const batch = reader.read(message.body);
  if (batch === undefined) return undefined;
  const rows = rowsByOwner(owners, batch);
  const isWhole = rows.size === 1;
  return new Map(
    [...rows].map(([owner, list]) => [
      owner,
      isWhole ? message : { ...message, body: repack(batch, list), events: list.length },
    ]),
  );
}
