/** The fixed number of slots that event ids hash into (`slotOf`). */
export const SLOTS = 256;
/** Objects a tenant's slots may be spread over; each is asked for its tail by every event query. */
export const MAX_SHARDS = 16;
/** The object that keeps the windows and the map. It owns every slot while there is one shard, and none when there are more. */
export const HOME = 0;
/** "Owner" of a slot that is being handed over: nobody takes its events until it has arrived. */
export const IN_TRANSIT = -1;

/** Which object owns each slot. A later epoch replaces an earlier one. */
export interface SlotMap {
  readonly epoch: number;
  /** By slot: the owner's number, or IN_TRANSIT. */
  readonly owners: readonly number[];
}

/** One slot's way from one object to another. */
export interface Move {
  readonly slot: number;
  readonly from: number;
  readonly to: number;
}

/** What holds for a tenant until its slots are moved for the first time. */
export const FIRST_MAP: SlotMap = { epoch: 0, owners: Array.from({ length: SLOTS }, () => HOME) };

/** The objects that share the slots of `count` shards: home alone, or objects 1 to `count`. */
export function objectsOf(count: number): readonly number[] {
  return count === 1 ? [HOME] : Array.from({ length: count }, (_, k) => k + 1);
}

/** The one object that owns every slot, or null when there are several or some slots are in transit. */
export function soleOwner({ owners }: SlotMap): number | null {
  const first = owners[0] ?? IN_TRANSIT;
  return first !== IN_TRANSIT && owners.every((owner) => owner === first) ? first : null;
}

/** The objects that own slots, ascending. */
export function ownersIn({ owners }: SlotMap): readonly number[] {
  return [...new Set(owners)].filter((owner) => owner !== IN_TRANSIT).sort((a, b) => a - b);
}

/**
 * The moves that spread the slots evenly over `count` shards: no two owners differ by more than one slot, and no plan that
 * achieves this has fewer moves. An object either gives slots or takes some, never both.
 * @param owners by slot, none of them in transit
 */
export function planMoves(owners: readonly number[], count: number): readonly Move[] {
  const has = new Map(objectsOf(count).map((object) => [object, 0]));
  for (const owner of owners) if (has.has(owner)) has.set(owner, (has.get(owner) ?? 0) + 1);
  const room = quotas(has);
  const homeless: { slot: number; from: number }[] = [];
  for (const [slot, from] of owners.entries()) {
    const left = room.get(from) ?? 0;
    if (left > 0) room.set(from, left - 1);
    else homeless.push({ slot, from });
  }
  const takers = [...room].flatMap(([object, left]) => Array.from({ length: left }, () => object));
  return homeless.map(({ slot, from }, k) => ({ slot, from, to: takers[k] ?? HOME }));
}

/** How many slots each object shall have. What cannot be shared evenly stays with those that have most now. */
function quotas(has: ReadonlyMap<number, number>): Map<number, number> {
  const even = Math.floor(SLOTS / has.size);
  const larger = SLOTS % has.size;
  const ranked = [...has].sort(([a, x], [b, y]) => y - x || a - b).map(([object]) => object);
  return new Map(ranked.map((object, rank) => [object, even + (rank < larger ? 1 : 0)]));
}
