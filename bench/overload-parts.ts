import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { field, list } from "../cli/api.ts";
import { follow } from "../cli/live.ts";
import type { OverloadOrder, OverloadResult } from "./overload-process.ts";

/** A tenant of the run, and calls with its admin key. */
export interface BenchTenant {
  readonly id: string;
  readonly url: string;
  readonly key: string;
  /** `data` of a JSON answer; throws unless the status is 2xx. */
  json(method: string, path: string, body?: unknown): Promise<unknown>;
}

/** Makes a tenant. @param operator the platform's address and its operator's key */
export async function makeTenant(operator: { readonly url: string; readonly key: string }, id: string) {
  const made = await ask(operator, "POST", "/api/v1/tenants", { id, name: id });
  const access = { url: operator.url, key: String(field(made, "admin_key")) };
  return {
    id,
    ...access,
    json: (method: string, path: string, body?: unknown) => ask(access, method, path, body),
  } satisfies BenchTenant;
}

async function ask(
  { url, key }: { readonly url: string; readonly key: string },
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text.slice(0, 300)}`);
  return field(JSON.parse(text), "data");
}

/** A producer process that waits for the word. It ends by itself after its run, or when this process ends. */
export async function prepareProducer(order: OverloadOrder): Promise<() => Promise<OverloadResult>> {
  const child = fork(join(import.meta.dirname, "overload-process.ts"), { execPath: process.execPath });
  child.send(order);
  await once(child, "message");
  return () =>
    new Promise((done, fail) => {
      child.once("message", (result: OverloadResult) => done(result));
      child.once("exit", (code) => fail(new Error(`a producer ended with code ${code}`)));
      child.send("go");
    });
}

/** When how many events were shown to a live reader. */
export interface Frames {
  readonly seen: readonly { readonly at: number; readonly total: number }[];
  stop(): void;
}

/** Follows a tenant's count of events as a dashboard would; times in epoch ms. */
export async function followCounts(tenant: BenchTenant): Promise<Frames> {
  const name = "bench_counts";
  const measures = { n: { fn: "count" } };
  await tenant.json("POST", "/api/v1/aggregations", { name, window: { type: "tumbling", size: "1h" }, measures });
  const counts = new Map<string, number>();
  const seen: { at: number; total: number }[] = [];
  const reader = follow(tenant, [`aggregation:${name}`], {
    apply(_kind, _topic, data) {
      for (const window of list(data, "windows"))
        counts.set(String(field(window, "start")), Number(field(field(window, "values"), "n")));
      seen.push({ at: Date.now(), total: [...counts.values()].reduce((sum, n) => sum + n, 0) });
    },
    onPhase: () => undefined,
  });
  while (seen.length === 0) await wait(20);
  return { seen, stop: () => reader.stop() };
}

/** Time from a POST until a live frame counts its events, ms, for each accepted request. @param before events counted earlier */
export function frameLatencies(result: OverloadResult, batch: number, before: number, { seen }: Frames): number[] {
  const sent = result.latencies.map(([at]) => at).toSorted((a, b) => a - b);
  let from = 0;
  return sent.map((at, k) => {
    while (from < seen.length && (seen[from]?.total ?? 0) < before + (k + 1) * batch) from++;
    return Math.max(0, (seen[from]?.at ?? Number.POSITIVE_INFINITY) - at);
  });
}

/** The value below which a part `q` of the values lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

/** What a tenant's flow looked like, second by second. */
export interface Watched {
  oldestMessageMs: number;
  mostInFlight: number;
  circuitOpened: boolean;
}

/** Looks at a tenant's flow once a second until told to stop. */
export function watchFlow(tenant: BenchTenant): { readonly watched: Watched; stop(): Promise<void> } {
  const watched: Watched = { oldestMessageMs: 0, mostInFlight: 0, circuitOpened: false };
  const stopping = new AbortController();
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const state = field(await tenant.json("GET", "/api/v1/flow"), "state");
      watched.oldestMessageMs = Math.max(watched.oldestMessageMs, Number(field(state, "oldest_message_ms")));
      watched.mostInFlight = Math.max(watched.mostInFlight, Number(field(state, "in_flight")));
      watched.circuitOpened ||= field(field(state, "circuits"), "objects") !== "closed";
      await wait(1_000, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const ended = loop();
  return {
    watched,
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };
}
