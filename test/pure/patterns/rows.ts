import { RowsPart } from "../../../core/patterns/forwarded-rows.ts";

/** One event for a keeper. */
export interface KeeperRow {
  readonly pattern: number;
  /** JSON text. */
  readonly key: string;
  readonly at: number;
  readonly id: string;
  readonly steps: number;
}

/** These events, in this order. */
export function rowsPart(rows: readonly KeeperRow[]): RowsPart {
  const part = new RowsPart();
  const places = new Map<string, number>();
  for (const { pattern, key, at, id, steps } of rows) {
    const name = `${pattern} ${key}`;
    const of = places.get(name) ?? part.addKey(pattern, key);
    places.set(name, of);
    part.add(of, at, id, steps);
  }
  return part;
}
