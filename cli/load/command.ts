import { setTimeout as wait } from "node:timers/promises";
import { field, request } from "../api.ts";
import type { Reply } from "../api.ts";
import { CliError } from "../errors.ts";
import type { Command } from "../command.ts";
import { textOptions } from "../options.ts";
import type { Options } from "../options.ts";
import { isLoopback, resolveTarget } from "../target.ts";
import type { Target } from "../target.ts";
import { createGenerator } from "./generator.ts";
import { formatSummary, summarize } from "./summary.ts";
import type { LoadSummary, LoadTotals } from "./summary.ts";

const HELP = `streamflow load: send made-up events and print what became of them.

  --events N        how many, up to 10,000,000 (default: 10,000)
  --seconds N       stop after this long, up to 3,600 (default: 60)
  --rate N          events per second, up to 1,000,000 (default: 1,000)
  --batch N         events in a request, 1 to 10,000 (default: 100)
  --concurrency N   requests in flight, 1 to 64 (default: 8)
  --users N         different users, up to 1,000,000 (default: 1,000)
  --seed TEXT       the same seed makes the same events (default: 1)
  --json            print the summary as JSON
  --i-own-this-target   needed when the platform is not on this machine

Nothing is tried again: refusals are what a load run wants to see. Latency counts from the moment a request was due.
`;

interface Plan {
  readonly events: number;
  readonly limitMs: number;
  readonly ratePerSecond: number;
  readonly batch: number;
  readonly concurrency: number;
}

/** `streamflow load`. */
export const load: Command = {
  help: HELP,
  options: {
    ...textOptions(["events", "seconds", "rate", "batch", "concurrency", "users", "seed"]),
    json: { type: "boolean" },
    "i-own-this-target": { type: "boolean" },
  },
  run,
};

async function run(options: Options): Promise<number> {
  const plan: Plan = {
    events: options.integer("events", { min: 1, max: 10_000_000 }) ?? 10_000,
    limitMs: (options.integer("seconds", { min: 1, max: 3_600 }) ?? 60) * 1000,
    ratePerSecond: options.integer("rate", { min: 1, max: 1_000_000 }) ?? 1_000,
    batch: options.integer("batch", { min: 1, max: 10_000 }) ?? 100,
    concurrency: options.integer("concurrency", { min: 1, max: 64 }) ?? 8,
  };
  const generate = createGenerator(
    options.text("seed") ?? "1",
    options.integer("users", { min: 1, max: 1_000_000 }) ?? 1_000,
  );
  const target = resolveTarget(options, process.env);
  if (!isLoopback(new URL(target.url)) && !options.has("i-own-this-target")) {
    throw new CliError(
      `${target.url} is not on this machine. If it is yours to load, say so with --i-own-this-target.`,
    );
  }
  const summary = await drive(plan, target, (timestamp) => JSON.stringify(generate(timestamp)));
  process.stdout.write(options.has("json") ? `${JSON.stringify(summary)}\n` : formatSummary(summary));
  return summary.accepted > 0 ? 0 : 1;
}

async function drive(plan: Plan, target: Target, makeEvent: (timestamp: number) => string): Promise<LoadSummary> {
  const totals: LoadTotals = { offered: 0, accepted: 0, rejected: 0, limited: 0, unavailable: 0, failed: 0 };
  const latencies: number[] = [];
  const inFlight = new Set<Promise<void>>();
  const startedAt = performance.now();
  let requests = 0;
  for (let sent = 0; sent < plan.events; requests++) {
    const dueAt = startedAt + (sent / plan.ratePerSecond) * 1000;
    if (dueAt - startedAt > plan.limitMs || performance.now() - startedAt > plan.limitMs) break;
    if (dueAt > performance.now()) await wait(dueAt - performance.now());
    while (inFlight.size >= plan.concurrency) await Promise.race(inFlight);
    const count = Math.min(plan.batch, plan.events - sent);
    const events = Array.from({ length: count }, () => makeEvent(Date.now()));
    sent += count;
    const sending = post(target, events).then((reply) => {
      inFlight.delete(sending);
      if (reply !== undefined) latencies.push(performance.now() - dueAt);
      return tally(totals, count, reply);
    });
    inFlight.add(sending);
  }
  await Promise.all(inFlight);
  return summarize(totals, latencies, requests, (performance.now() - startedAt) / 1000);
}

/** The answer, or undefined when there was none. */
function post(target: Target, events: readonly string[]): Promise<Reply | undefined> {
  const payload = { contentType: "application/json", body: `{"events":[${events.join(",")}]}` };
  return request(target, "POST", "/events/batch", payload).catch(() => undefined);
}

function tally(totals: LoadTotals, count: number, reply: Reply | undefined): void {
  totals.offered += count;
  if (reply?.status === 200) {
    const accepted = Number(field(field(reply.body, "data"), "accepted") ?? 0);
    totals.accepted += accepted;
    totals.rejected += count - accepted;
  } else if (reply?.status === 422) totals.rejected += count;
  else if (reply?.status === 429) totals.limited += count;
  else if (reply?.status === 503) totals.unavailable += count;
  else totals.failed += count;
}
