import type { JsonValue } from "../events/event.ts";
import type { Prepared } from "./accumulator.ts";

/** The number at `position`, NaN when there is none. @throws TypeError when the column was prepared for another need */
export function numberAt(prepared: Prepared, position: number): number {
  if (prepared.as !== "numbers") throw wrongNeed(prepared, "numbers");
  return prepared.numbers[position] ?? Number.NaN;
}

/** The value at `position`, undefined when null or absent. @throws TypeError when the column was prepared for another need */
export function valueAt(prepared: Prepared, position: number): Exclude<JsonValue, null> | undefined {
  if (prepared.as !== "values") throw wrongNeed(prepared, "values");
  return prepared.values[position] ?? undefined;
}

/** An error for a column that was not prepared as its measure `needs`: a mistake of the caller. */
export function wrongNeed(prepared: Prepared, needed: Prepared["as"]): TypeError {
  return new TypeError(`Column prepared as ${prepared.as}, but the measure needs ${needed}`);
}

/** An error for merging states of different measures: a mistake of the caller. */
export function wrongMerge(): TypeError {
  return new TypeError("Only states of the same measure can be merged");
}
