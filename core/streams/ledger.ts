/**
 * What became of the items offered to a buffer. At any moment
 * offered = delivered + the four kinds of dropped + rejected + buffered.
 */
export interface Ledger {
  readonly offered: number;
  readonly delivered: number;
  /** `oldest`: made room, or was too old; `newest`: found no room; `sampled`: not drawn; `discarded`: the reader left. */
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** Refused out loud: the one who offered was told. */
  readonly rejected: number;
  readonly buffered: number;
  /** Producers waiting for room. Their items are not offered yet. */
  readonly waiting: number;
}

/** Why an item was dropped: see `Ledger`. */
export type DropReason = "oldest" | "newest" | "sampled" | "discarded";

/** Items dropped for whatever reason. */
export function droppedItems(ledger: Ledger): number {
  const { oldest, newest, sampled, discarded } = ledger.dropped;
  return oldest + newest + sampled + discarded;
}
