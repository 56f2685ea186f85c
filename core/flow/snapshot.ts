import type { PlainState } from "./algorithm.ts";

/** Thrown for a snapshot that no controller of this version made. */
export class CorruptSnapshotError extends Error {
  override readonly name = "CorruptSnapshotError";
}

/**
 * A stored state, if it has the shape of a fresh one: the same names, numbers where there are numbers. Where the fresh
 * state has null a number may stand, and the other way round for names in `nullable`.
 * @throws CorruptSnapshotError naming what does not fit
 */
export function checkedState<T extends PlainState>(fresh: T, stored: unknown, where: string): T {
  if (!isRecord(stored)) throw new CorruptSnapshotError(`${where} is not an object`);
  if (!hasShape(fresh, stored, where)) throw new CorruptSnapshotError(`${where} does not fit`);
  return { ...stored };
}

function hasShape<T extends PlainState>(fresh: T, stored: Record<string, unknown>, where: string): stored is T {
  for (const [name, value] of Object.entries(fresh)) {
    if (!isAlike(value, stored[name])) throw new CorruptSnapshotError(`${where}.${name} is ${String(stored[name])}`);
  }
  return Object.keys(stored).length === Object.keys(fresh).length;
}

function isAlike(fresh: PlainState[string], stored: unknown): boolean {
  if (fresh === null) return stored === null || isNumber(stored);
  if (Array.isArray(fresh)) return Array.isArray(stored) && stored.every((item) => item === null || isNumber(item));
  return typeof fresh === "number" ? isNumber(stored) : typeof fresh === typeof stored;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** Whether a value is an object with fields, and no list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
