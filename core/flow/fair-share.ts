// Problem: several tenants want more than there is. Rule: weighted max-min fairness. Capacity rises for all in proportion to
// their weights until somebody has what he wants; what he leaves goes to the others. So nobody who wants less than his part
// by weight feels the others, and nothing is left over while somebody wants more.
// Why not parts by demand: then asking for more would be rewarded. See Bertsekas and Gallager, Data Networks, section 6.5.2.

/** What one of several wants of a capacity; both in the capacity's unit. */
export interface Claim {
  /** ≥ 0; Infinity for one who takes whatever there is. */
  readonly demand: number;
  /** > 0. */
  readonly weight: number;
}

/**
 * Divides a capacity.
 * @param capacity ≥ 0, finite
 * @returns for each claim, in order, at most its demand; together the capacity, or all demands if they are less
 */
export function fairShares(capacity: number, claims: readonly Claim[]): number[] {
  const shares = claims.map(() => 0);
  const order = claims.map((_, k) => k).toSorted((a, b) => level(claims[a]) - level(claims[b]));
  let left = capacity;
  let weights = claims.reduce((sum, { weight }) => sum + weight, 0);
  for (const k of order) {
    const claim = claims[k];
    if (claim === undefined || weights <= 0) continue;
    const share = Math.min(claim.demand, Math.max(0, (left * claim.weight) / weights));
    shares[k] = share;
    left -= share;
    weights -= claim.weight;
  }
  return shares;
}

/** The capacity per weight at which a claim is satisfied. */
function level(claim: Claim | undefined): number {
  return claim === undefined ? Infinity : claim.demand / claim.weight;
}
