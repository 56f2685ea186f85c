/** Exact arithmetic on doubles by BigInt, written independently of the code under test. */

/** Doubles are multiples of 2^−1074. */
const UNIT = 1074n;
const view = new DataView(new ArrayBuffer(8));

/** value · 2^1074. */
export function unitsOf(value: number): bigint {
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const biased = bits >> 52n;
  const fraction = bits & 0xfffffffffffffn;
  const units = biased === 0n ? fraction : (fraction | 0x10000000000000n) << (biased - 1n);
  return value < 0 ? -units : units;
}

/** The next double above (or, for −1, below) a finite one; the step past MAX_VALUE counts as one more of the same size. */
function neighbour(value: number, direction: 1 | -1): bigint {
  const towards = value === 0 ? direction : Math.sign(value) * direction;
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  if (value === 0) return BigInt(direction);
  view.setBigUint64(0, bits + BigInt(towards));
  const next = view.getFloat64(0);
  const units = next === Infinity ? 2n * unitsOf(Number.MAX_VALUE) - unitsOf(1.797693134862315e308) : unitsOf(next);
  return value < 0 ? -units : units;
}

const distance = (a: bigint, b: bigint): bigint => (a > b ? a - b : b - a);

/** Whether no double is nearer to numerator / denominator · 2^−1074 than `value` is. */
export function isNearest(value: number, numerator: bigint, denominator: bigint): boolean {
  const off = (units: bigint) => distance(units * denominator, numerator);
  const own = off(unitsOf(value));
  return own <= off(neighbour(value, 1)) && own <= off(neighbour(value, -1));
}

export const sumOf = (values: readonly number[]): bigint => values.reduce((sum, value) => sum + unitsOf(value), 0n);

/** Whether `deviation` is within 1 unit in the last place of the population standard deviation. */
export function isDeviation(deviation: number, values: readonly number[]): boolean {
  const n = BigInt(values.length);
  const sum = sumOf(values);
  const squares = values.reduce((total, value) => total + unitsOf(value) ** 2n, 0n);
  const spread = n * squares - sum * sum;
  if (spread === 0n) return deviation === 0;
  const low = neighbour(deviation, -1);
  const high = neighbour(deviation, 1);
  return (low <= 0n || (low * n) ** 2n <= spread) && spread <= (high * n) ** 2n;
}

/** ±MAX_VALUE exactly, in units. */
export const LARGEST = ((1n << 53n) - 1n) << (971n + UNIT);
