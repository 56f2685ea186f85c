import { parseRfc3339 } from "../../core/events/rfc3339.ts";
import { parseDuration } from "../../core/windows/duration.ts";
import type { StepUnit } from "../../core/windows/shape.ts";
import type {
  GroupFilter,
  RangeQuery,
  WindowPlace,
  WindowsQuery,
} from "../../durable-objects/aggregator/read-windows.ts";
import { ApiError } from "../http.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
/** The times that RFC 3339 can write, years 0 to 9999, epoch ms. Answers repeat the range that was asked for. */
const [MIN_TIME_MS, MAX_TIME_MS] = [Date.UTC(-1, 12), Date.UTC(10_000, 0) - 1];

/** Parameters of a URL that are read once each; whatever is left over at the end is refused by name. */
export class Parameters {
  readonly #left: Map<string, string>;

  constructor(pairs: Iterable<readonly [string, string]>) {
    this.#left = new Map(pairs);
  }

  take(name: string): string | undefined {
    const value = this.#left.get(name);
    this.#left.delete(name);
    return value;
  }

  /** Epoch ms, or null when absent. */
  time(name: string): number | null {
    const text = this.take(name);
    if (text === undefined) return null;
    const at = /^-?\d+$/.test(text) ? Number(text) : parseRfc3339(text.replace(/ (?=\d\d:\d\d$)/, "+"));
    if (!(at >= MIN_TIME_MS && at <= MAX_TIME_MS))
      throw badParameter(name, "must be an RFC 3339 time or epoch milliseconds, in years 0 to 9999");
    return at;
  }

  /** [from, to) in epoch ms; either may be null. */
  range(): { from: number | null; to: number | null } {
    const from = this.time("from");
    const to = this.time("to");
    if (from !== null && to !== null && from >= to) throw badParameter("to", "must be after from");
    return { from, to };
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const text = this.take(name);
    if (text === undefined) return fallback;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw badParameter(name, `must be a whole number from ${min} to ${max}`);
    return value;
  }

  /** `group.<path>=value`, all of them. @param paths those the aggregation groups by */
  groups(paths: readonly string[]): GroupFilter {
    const groups: Record<string, string> = {};
    for (const [name, value] of this.#left) {
      if (!name.startsWith("group.")) continue;
      const path = name.slice("group.".length);
      if (!paths.includes(path))
        throw badParameter(name, `this aggregation groups by ${paths.join(", ") || "nothing"}`);
      groups[path] = value;
      this.#left.delete(name);
    }
    return groups;
  }

  /** Refuses what was not read: a misspelt filter would silently return everything. */
  end(): void {
    for (const name of this.#left.keys()) throw badParameter(name, "is not a parameter here");
  }
}

/** A refusal, 400, that names the parameter. */
export function badParameter(field: string, message: string): ApiError {
  return new ApiError("bad_request", `${field}: ${message}`, { field, message });
}

/** Reads the parameters of a list of windows. @throws ApiError `bad_request` */
export function windowsQuery(pairs: Iterable<readonly [string, string]>, groupBy: readonly string[]): WindowsQuery {
  const parameters = new Parameters(pairs);
  const status = parameters.take("status") ?? "all";
  if (status !== "all" && status !== "open" && status !== "closed")
    throw badParameter("status", "must be all, open or closed");
  const cursor = parameters.take("cursor");
  const query = {
    ...parameters.range(),
    status,
    groups: parameters.groups(groupBy),
    limit: parameters.integer("limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
    after: cursor === undefined ? null : decodePlace(cursor),
  } as const;
  parameters.end();
  return query;
}

/** @param unit what steps are made of, from the aggregation's windows */
export function rangeQuery(
  pairs: Iterable<readonly [string, string]>,
  groupBy: readonly string[],
  unit: StepUnit,
): RangeQuery {
  const parameters = new Parameters(pairs);
  const step = readStep(parameters.take("step") ?? "total", unit);
  const query = { ...parameters.range(), ...step, groups: parameters.groups(groupBy) };
  parameters.end();
  return query;
}

function readStep(step: string, unit: StepUnit): Pick<RangeQuery, "stepMs" | "calendarStep"> {
  if (step === "total") return { stepMs: null };
  if ("units" in unit) {
    const calendarUnit = unit.units.find((name) => name === step);
    if (calendarUnit !== undefined)
      return { stepMs: null, calendarStep: { unit: calendarUnit, timezone: unit.timezone } };
    throw badParameter("step", `must be total or, in ${unit.timezone}, ${unit.units.join(" or ")}`);
  }
  const stepMs = parseDuration(step);
  if (stepMs === null || stepMs < unit.everyMs || stepMs % unit.everyMs !== 0)
    throw badParameter("step", `must be total or a multiple of ${unit.everyMs} ms`);
  return { stepMs };
}

/** A place in the list as a cursor, which `windowsQuery` reads. */
export function encodePlace(place: WindowPlace): string {
  return Buffer.from(JSON.stringify([place.start, place.key])).toString("base64url");
}

function decodePlace(text: string): WindowPlace {
  try {
    const place: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
    if (Array.isArray(place) && Number.isSafeInteger(place[0]) && typeof place[1] === "string")
      return { start: Number(place[0]), key: place[1] };
  } catch {
    // Answered below, like a cursor of the wrong shape.
  }
  throw badParameter("cursor", "is not a cursor of this list");
}
