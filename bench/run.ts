// `npm run bench`: what the README's numbers come from. Runs the built Worker in workerd, without any dev proxy.
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { measureClosed, measureEarly } from "./alert-latency.ts";
import { measureAccepted } from "./accepted.ts";
import { measureCost } from "./cost.ts";
import { measureEndToEnd } from "./end-to-end.ts";
import { environment } from "./environment.ts";
import { measureFeatures } from "./features.ts";
import { measureLive } from "./live.ts";
import {
  CLOSED_TITLE,
  EARLY_TITLE,
  formatAccepted,
  formatCost,
  formatEndToEnd,
  formatFeatures,
  formatLatency,
  formatLive,
  formatTick,
} from "./report.ts";
import { measureTick } from "./tick.ts";

const HELP = `npm run bench -- [--only a,b,c,e,f] [--events N] [--json FILE]

  a   events/s accepted over HTTP, beside a Worker that only parses; consumer paused, then running
  b   events/s end to end until stored, deduplicated and aggregated; and peak memory (d)
  c   time from POST to live frame, at 1,000 events/s
  e   billed operations per million events, and their list price
  f   time from POST to webhook at 1,000 events/s, and 10,000 alert instances evaluated at once
  w   b without and with hopping windows, sessions and a pattern beside the others, in turns; only when asked for

  --events N    distinct events of b and w (default: 1,000,000)
  --json FILE   write all figures there as well
`;

const ROUNDS = 3;
const EVENTS_PER_ROUND = 300_000;
/** What admission lets in before anything was applied. */
const PAUSED_EVENTS_PER_ROUND = 70_000;
const LIVE_SECONDS = 30;
const ALERT_SECONDS = 30;
const TRAFFIC = [
  { batch: 500, ratePerSecond: 1_000, seconds: 120 },
  { batch: 1, ratePerSecond: 1_000, seconds: 30 },
  { batch: 1, ratePerSecond: 1, seconds: 60 },
] as const;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    events: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean" },
  },
});
if (values.help === true) process.stdout.write(HELP);
else await main(new Set((values.only ?? "a,b,c,e,f").split(",")), Number(values.events ?? 1_000_000), values.json);

async function main(only: ReadonlySet<string>, events: number, jsonPath: string | undefined): Promise<void> {
  const figures: Record<string, unknown> = { environment: environment("bench") };
  const print: Print = (name, figure, text) => {
    figures[name] = figure;
    process.stdout.write(`\n${text}`);
  };
  process.stdout.write(`${JSON.stringify(figures["environment"], null, 2)}\n`);
  if (only.has("a")) {
    const paused = await measureAccepted(true, ROUNDS, PAUSED_EVENTS_PER_ROUND);
    print("accepted_consumer_paused", paused, formatAccepted(paused, "paused"));
    const running = await measureAccepted(false, ROUNDS, EVENTS_PER_ROUND);
    print("accepted_consumer_running", running, formatAccepted(running, "running"));
  }
  if (only.has("b") || only.has("d")) {
    const result = await measureEndToEnd(events);
    print("end_to_end", result, formatEndToEnd(result));
  }
  if (only.has("w")) {
    const result = await measureFeatures(events);
    print("features", result, formatFeatures(result));
  }
  if (only.has("c")) {
    const result = await measureLive(LIVE_SECONDS);
    print("live", result, formatLive(result));
  }
  if (only.has("e")) {
    for (const traffic of TRAFFIC) {
      const result = await measureCost(traffic);
      print(`cost_${traffic.batch}_at_${traffic.ratePerSecond}`, result, formatCost(result));
    }
  }
  if (only.has("f")) await printAlerts(print);
  if (jsonPath !== undefined) writeFileSync(jsonPath, `${JSON.stringify(figures, null, 2)}\n`);
}

type Print = (name: string, figure: unknown, text: string) => void;

async function printAlerts(print: Print): Promise<void> {
  const early = await measureEarly(ALERT_SECONDS);
  print("alert_early", early, formatLatency(EARLY_TITLE, early));
  const closed = await measureClosed(ALERT_SECONDS);
  print("alert_closed", closed, formatLatency(CLOSED_TITLE, closed));
  const tick = measureTick(1);
  print("alert_tick", tick, formatTick(1, tick));
}
