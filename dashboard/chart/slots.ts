/** Colours there are (tokens.css, `--series-1` …). What comes beyond is drawn as slot 0, "other". */
export const SLOTS = 8;

/**
 * Give each name a colour slot, 1 to SLOTS. Colour follows the name, not its rank: a name keeps its slot as long as it is
 * shown, and a new one takes the slot its hash points at, or the next free one.
 *
 * @param before slots given so far
 * @param names  at most SLOTS distinct names; those beyond get none
 */
export function assignSlots(before: ReadonlyMap<string, number>, names: readonly string[]): Map<string, number> {
  const kept = names.flatMap((name) => {
    const slot = before.get(name);
    return slot === undefined ? [] : [[name, slot] as const];
  });
  const slots = new Map(kept);
  const taken = new Set(slots.values());
  for (const name of names) {
    if (slots.has(name) || taken.size >= SLOTS) continue;
    let slot = hash(name) % SLOTS;
    while (taken.has(slot + 1)) slot = (slot + 1) % SLOTS;
    taken.add(slot + 1);
    slots.set(name, slot + 1);
  }
  return slots;
}

/** FNV-1a, 32 bits. */
function hash(name: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < name.length; i += 1) value = Math.imul(value ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return value;
}
