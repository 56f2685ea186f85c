import type { StreamEvent } from "../../../core/events/event.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import type { Recount } from "./batch-recount.ts";

export const MINUTE = 60_000;
/** Shortly after the night in which Berlin's day has 25 hours. */
export const T0 = Date.parse("2026-10-25T05:00:00Z");
/** Every revision is told, except where a definition says otherwise. */
const allowed_lateness = "400d";
const measures = { events: { fn: "count" }, total: { fn: "sum", field: "data.n" } } as const;

const everything = (): boolean => true;
const nOf = ({ data }: StreamEvent): number => Number(data["n"]);
const kindOf = ({ data }: StreamEvent): string => JSON.stringify([data["kind"]]);

/** The windows [k·slide + offset, k·slide + offset + size) that hold a time, tried one by one. */
function hopping(sizeMs: number, slideMs: number, offsetMs = 0): Recount["windows"] {
  return {
    of: (at) => {
      const found: [number, number][] = [];
      let start = Math.ceil((at - sizeMs - slideMs) / slideMs) * slideMs + offsetMs - slideMs;
      for (; start <= at; start += slideMs) if (at < start + sizeMs) found.push([start, start + sizeMs]);
      return found;
    },
  };
}

/** From Berlin's official midnights: 2 h before UTC's until the clock went back, 1 h afterwards. */
const berlinDays = ["2026-10-23T22:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z", "2026-10-26T23:00Z"].map((text) =>
  Date.parse(text),
);

const WEEK = 7 * 24 * 60 * MINUTE;
/** Monday begins first on Kiritimati, 14 hours before UTC's. */
const MONDAY = Date.parse("2026-10-25T10:00Z");

/** How long after its end a window's revisions are told, ms. */
export const toldForMs = (name: string): number => (name === "offset" ? 10 * MINUTE : Infinity);

/** How far out of order events of an aggregation may come, ms: as its definition says, or 10 s. */
export const outOfOrdernessMs = (name: string): number => ({ offset: 0, long_sessions: 5 * MINUTE })[name] ?? 10_000;

/** One aggregation of each kind, with how to recount it. */
export const EVERY_TYPE: readonly { readonly definition: Definition; readonly recount: Recount }[] = [
  {
    definition: {
      name: "per_minute",
      window: { type: "tumbling", size: "1m" },
      group_by: ["data.kind"],
      measures,
      allowed_lateness,
    },
    recount: { counts: everything, groupOf: kindOf, windows: hopping(MINUTE, MINUTE) },
  },
  {
    definition: {
      name: "offset",
      filter: "event.data.n > 5",
      window: { type: "tumbling", size: "7m", offset: "30s" },
      measures,
      out_of_orderness: "0s",
      allowed_lateness: "10m",
    },
    recount: {
      counts: (event) => nOf(event) > 5,
      groupOf: () => "[]",
      windows: hopping(7 * MINUTE, 7 * MINUTE, 30_000),
    },
  },
  {
    definition: {
      name: "berlin",
      window: { type: "tumbling", size: "1d", timezone: "Europe/Berlin" },
      measures,
      allowed_lateness,
    },
    recount: {
      counts: everything,
      groupOf: () => "[]",
      windows: {
        of: (at) => {
          const next = berlinDays.findIndex((midnight) => midnight > at);
          return [[berlinDays[next - 1] ?? Number.NaN, berlinDays[next] ?? Number.NaN]];
        },
      },
    },
  },
  {
    definition: {
      name: "weeks",
      window: { type: "tumbling", size: "1w", timezone: "Pacific/Kiritimati" },
      measures,
      allowed_lateness,
    },
    recount: {
      counts: everything,
      groupOf: () => "[]",
      windows: { of: (at) => [at < MONDAY ? [MONDAY - WEEK, MONDAY] : [MONDAY, MONDAY + WEEK]] },
    },
  },
  {
    definition: {
      name: "overlapping",
      window: { type: "hopping", size: "10m", slide: "4m", offset: "1m" },
      group_by: ["data.kind"],
      measures,
      allowed_lateness,
    },
    recount: { counts: everything, groupOf: kindOf, windows: hopping(10 * MINUTE, 4 * MINUTE, MINUTE) },
  },
  {
    definition: { name: "with_gaps", window: { type: "hopping", size: "2m", slide: "5m" }, measures, allowed_lateness },
    recount: { counts: everything, groupOf: () => "[]", windows: hopping(2 * MINUTE, 5 * MINUTE) },
  },
  {
    definition: {
      name: "sessions",
      window: { type: "session", gap: "3m" },
      group_by: ["data.kind"],
      measures,
      allowed_lateness,
    },
    recount: { counts: everything, groupOf: kindOf, windows: { gapMs: 3 * MINUTE } },
  },
  {
    definition: {
      name: "long_sessions",
      filter: "event.data.n < 8",
      window: { type: "session", gap: "20s" },
      measures,
      out_of_orderness: "5m",
      allowed_lateness,
    },
    recount: { counts: (event) => nOf(event) < 8, groupOf: () => "[]", windows: { gapMs: 20_000 } },
  },
];

/** One measure of each kind, over events with a number `n`. */
export const EVERY_MEASURE: Definition["measures"] = {
  count: { fn: "count" },
  some: { fn: "count", field: "data.n", filter: "event.data.n > 3" },
  rate: { fn: "rate" },
  sum: { fn: "sum", field: "data.n" },
  avg: { fn: "avg", field: "data.n" },
  stddev: { fn: "stddev", field: "data.n" },
  min: { fn: "min", field: "data.n" },
  max: { fn: "max", field: "data.n" },
  first: { fn: "first", field: "data.n" },
  last: { fn: "last", field: "data.n" },
  distinct: { fn: "distinct", field: "data.n" },
  median: { fn: "quantile", field: "data.n", q: 0.5 },
  top: { fn: "top", field: "data.n", k: 3 },
};
