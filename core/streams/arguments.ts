/** @returns what is wrong when `value` is no integer in [min, ∞) */
export function countProblem(name: string, value: number, min: number): RangeError | undefined {
  if (Number.isSafeInteger(value) && value >= min) return undefined;
  return new RangeError(`${name} must be an integer of at least ${min}, got ${value}`);
}

/** As `countProblem`, and Infinity stands for no limit. */
export function limitProblem(name: string, value: number, min: number): RangeError | undefined {
  return value === Infinity ? undefined : countProblem(name, value, min);
}

/** @returns what is wrong when `value` is no finite time above 0 */
export function durationProblem(name: string, value: number): RangeError | undefined {
  if (Number.isFinite(value) && value > 0) return undefined;
  return new RangeError(`${name} must be a number of milliseconds above 0, got ${value}`);
}
