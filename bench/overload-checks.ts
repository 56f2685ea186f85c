import { field } from "../cli/api.ts";
import { countInWindows } from "./aggregations.ts";
import type { BenchTenant } from "./overload-parts.ts";
import type { OverloadResult } from "./overload-process.ts";
import { type Phase, until } from "./overload-run.ts";
import type { BenchPlatform } from "./platform.ts";

/** Producers offer this many times what the platform can take. */
export const OFFERED_PARTS = 3;
/** Between the flood's end and the look whether it is over. */
export const REST_SECONDS = 10;
/** Of the capacity: who refuses everything keeps all other promises easily. */
const LEAST_ADMITTED = 0.5;
const MAX_MEMORY_BYTES = 1_000_000_000;
const MAX_AGE_MS = 2_000;

/** One promise and what was found. */
export interface Check {
  readonly what: string;
  readonly is: string;
  readonly ok: boolean;
}

/** Holds a tenant's counts against what its producers were answered. */
export async function reconcile(
  tenant: BenchTenant,
  results: readonly OverloadResult[],
  sinceMs: number,
): Promise<Check[]> {
  const sum = (of: (result: OverloadResult) => number): number => results.reduce((total, one) => total + of(one), 0);
  const [accepted, okay] = [sum((one) => one.accepted), sum((one) => one.requestsAccepted)];
  const [refused, badly] = [sum((one) => one.refused), sum((one) => one.refusedBadly)];
  const strange = results.flatMap(({ other }) => Object.entries(other));
  const stored = async (): Promise<number> => Number(field(await tenant.json("GET", "/api/v1/stats"), "total_events"));
  const ledger = async (): Promise<unknown> => field(await tenant.json("GET", "/api/v1/flow"), "ledger");
  const isSettled = async (): Promise<boolean> => {
    const book = await ledger();
    const admitted = Number(field(field(book, "requests"), "admitted"));
    return (await stored()) === accepted && inFlight(book) === 0 && admitted === okay;
  };
  // What does not settle fails below, by name.
  await until(isSettled).catch(() => undefined);
  const counted = await countInWindows(enveloped(tenant), "bench_by_status", "requests", sinceMs);
  const [total, book] = [await stored(), await ledger()];
  const equal = (what: string, is: number, expected: number): Check => ({
    what: `${tenant.id}: ${what}`,
    is: `${whole(is)} of ${whole(expected)}`,
    ok: is === expected,
  });
  return [
    equal("events answered 200 are stored", total, accepted),
    equal("and counted in windows", counted, accepted),
    equal("ledger: events admitted", Number(field(field(book, "events"), "admitted")), accepted),
    equal("ledger: events applied", Number(field(field(book, "events"), "applied")), accepted),
    equal("ledger: events in flight", inFlight(book), 0),
    equal("ledger: requests admitted", Number(field(field(book, "requests"), "admitted")), okay),
    equal("ledger: requests refused", Number(field(field(book, "requests"), "refused")), refused),
    equal("429 without a whole Retry-After", badly, 0),
    { what: `${tenant.id}: other answers`, is: JSON.stringify(strange), ok: strange.length === 0 },
  ];
}

function inFlight(book: unknown): number {
  return Number(field(field(book, "events"), "in_flight"));
}

/** What `countInWindows` asks for: answers with their envelope. */
function enveloped(tenant: BenchTenant): Pick<BenchPlatform, "json"> {
  return { json: async (method, path, body) => ({ data: await tenant.json(method, path, body) }) };
}

/** The phases of a run. */
export interface Outcome {
  readonly capacity: Phase;
  readonly alone: Phase;
  readonly flooded: Phase;
  readonly beside: Phase;
  readonly after: Phase;
  readonly peakMemory: number | null;
  readonly oldest: readonly { readonly oldestMessageMs: number }[];
}

/** Holds the figures against what is promised. */
export function judge({ capacity, alone, flooded, beside, after, peakMemory, oldest }: Outcome): Check[] {
  const admitted = flooded.accepted + beside.accepted;
  const fairShare = Math.min(admitted / 2, beside.offered);
  const offered = (flooded.offered + beside.offered) / capacity.accepted;
  const oldestMs = Math.max(...oldest.map(({ oldestMessageMs }) => oldestMessageMs));
  const [alonePost, besidePost, afterPost] = [alone.post, beside.post, after.post];
  const [aloneFrame, besideFrame, afterFrame] = [alone.frame, beside.frame, after.frame];
  return [
    { what: "offered, times the capacity", is: offered.toFixed(2), ok: offered >= 0.9 * OFFERED_PARTS },
    {
      what: "admitted during the overload, of the capacity",
      is: (admitted / capacity.accepted).toFixed(2),
      ok: admitted / capacity.accepted >= LEAST_ADMITTED,
    },
    {
      what: "the well-behaved tenant got, of its fair share or what it offered",
      is: `${whole(beside.accepted)} of ${whole(fairShare)} events/s = ${(beside.accepted / fairShare).toFixed(3)}`,
      ok: beside.accepted >= 0.95 * fairShare,
    },
    times("its p99 of a POST beside the flood", besidePost[1], alonePost[1], 3),
    times("its p99 until a live frame counts it", besideFrame?.[1] ?? NaN, aloneFrame?.[1] ?? NaN, 3),
    { what: "oldest message", is: `${whole(oldestMs)} ms`, ok: oldestMs <= MAX_AGE_MS },
    {
      what: "peak memory of workerd",
      is: peakMemory === null ? "unknown on this system" : `${whole(peakMemory / 1e6)} MB`,
      ok: peakMemory === null || peakMemory <= MAX_MEMORY_BYTES,
    },
    times(`p99 of a POST ${REST_SECONDS} s after the flood`, afterPost[1], alonePost[1], 2),
    times("and until a live frame", afterFrame?.[1] ?? NaN, aloneFrame?.[1] ?? NaN, 2),
  ];
}

function times(what: string, value: number, base: number, most: number): Check {
  const is = `${value.toFixed(1)} ms, ${(value / base).toFixed(2)} times ${base.toFixed(1)} ms (at most ${most})`;
  return { what, is, ok: value < most * base };
}

/** Seconds of a phase whose longest POST took more than so long, with that POST, ms: whether it is the beginning or all along. */
export function slowSeconds({ result }: Phase, overMs: number): string {
  const first = Math.min(...result.latencies.map(([sentAt]) => sentAt));
  const longest = new Map<number, number>();
  for (const [sentAt, ms] of result.latencies) {
    const second = Math.floor((sentAt - first) / 1000);
    if (ms > overMs) longest.set(second, Math.max(ms, longest.get(second) ?? 0));
  }
  const list = [...longest].toSorted(([a], [b]) => a - b).map(([second, ms]) => `${second}: ${whole(ms)} ms`);
  return list.length === 0 ? "none" : list.join(", ");
}

/** The phases, one a line. */
export function phaseTable(phases: readonly Phase[]): string {
  const head = "\nphase      tenant   offered/s accepted/s  refused/s  POST p50    p99  frame p50    p99  unsent  load";
  const rows = phases.map(({ name, tenant, offered, accepted, refused, post, frame, result }) =>
    [
      name.padEnd(10),
      tenant.padEnd(8),
      ...[offered, accepted, refused].map((value) => whole(value).padStart(9)),
      ...post.map((ms) => ms.toFixed(1).padStart(8)),
      ...(frame ?? []).map((ms) => whole(ms).padStart(8)),
      ...(frame === null ? ["".padStart(17)] : []),
      String(result.unsent).padStart(7),
      result.cpu.toFixed(2).padStart(5),
    ].join(" "),
  );
  return [head, ...rows].join("\n");
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}
