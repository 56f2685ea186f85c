/** JSON has no infinities: −Infinity, which stands for "nothing yet", is written as null. */
export function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
