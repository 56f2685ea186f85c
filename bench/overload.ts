// `npm run bench:overload`: two tenants offer three times what the platform can take, one of them behaves. Checks that nothing
// accepted is lost or counted twice, that the one who behaves does not notice, and that it is over when it is over.
import { writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { USER_AGGREGATIONS } from "./aggregations.ts";
import { environment } from "./environment.ts";
import { judge, OFFERED_PARTS, phaseTable, reconcile, REST_SECONDS, slowSeconds } from "./overload-checks.ts";
import { followCounts, makeTenant, watchFlow } from "./overload-parts.ts";
import { Run } from "./overload-run.ts";
import { type BenchPlatform, startBenchPlatform } from "./platform.ts";

const HELP = `npm run bench:overload -- [--seconds N] [--part P] [--json FILE]

  --seconds N   how long the overload lasts (default: 60)
  --part P      what the well-behaved tenant offers, of the capacity (default: 0.25; its fair share is 0.5)
  --json FILE   write all figures there as well
`;

const CAPACITY_SECONDS = 12;
const ALONE_SECONDS = 20;
const AFTER_SECONDS = 15;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    part: { type: "string", default: "0.25" },
    json: { type: "string" },
    help: { type: "boolean" },
  },
});
if (values.help === true) process.stdout.write(HELP);
else await main(Number(values.seconds), Number(values.part), values.json);

async function main(seconds: number, part: number, jsonPath: string | undefined): Promise<void> {
  const platform = await startBenchPlatform();
  let isOk = false;
  try {
    const figures = await measure(platform, seconds, part);
    isOk = figures.checks.every(({ ok }) => ok);
    if (jsonPath !== undefined) writeFileSync(jsonPath, `${JSON.stringify(figures, withoutLatencies, 2)}\n`);
  } finally {
    await platform.stop();
  }
  process.exitCode = isOk ? 0 : 1;
}

async function measure(platform: BenchPlatform, seconds: number, part: number) {
  const about = environment("bench:overload");
  print(JSON.stringify(about, null, 2));
  const [flood, modest] = [await makeTenant(platform, "flood"), await makeTenant(platform, "modest")];
  for (const tenant of [flood, modest]) {
    for (const aggregation of USER_AGGREGATIONS) await tenant.json("POST", "/api/v1/aggregations", aggregation);
  }
  const sinceMs = Date.now() - 3_600_000;
  const frames = await followCounts(modest);
  const run = new Run(frames);

  const capacity = await run.one(flood, "capacity", { seconds: CAPACITY_SECONDS, concurrency: 32 });
  const rate = Math.round(capacity.accepted * part);
  await wait(3_000);
  const alone = await run.one(modest, "alone", { seconds: ALONE_SECONDS, concurrency: 64, ratePerSecond: rate });
  await wait(1_000);

  const watching = [watchFlow(flood), watchFlow(modest)];
  const cpuBefore = platform.cpuSeconds() ?? 0;
  const floodRate = Math.round(capacity.accepted * OFFERED_PARTS - rate);
  const overload = await run.together([
    [flood, "flood", { seconds, concurrency: 128, ratePerSecond: floodRate }],
    [modest, "beside it", { seconds, concurrency: 64, ratePerSecond: rate }],
  ]);
  const cores = ((platform.cpuSeconds() ?? 0) - cpuBefore) / seconds;
  for (const one of watching) await one.stop();
  await wait(REST_SECONDS * 1_000);
  const after = await run.one(modest, "after", { seconds: AFTER_SECONDS, concurrency: 64, ratePerSecond: rate });

  const ledgers = [];
  for (const tenant of [flood, modest]) ledgers.push(await reconcile(tenant, run.resultsOf(tenant), sinceMs));
  frames.stop();
  const [flooded, beside] = overload;
  if (flooded === undefined || beside === undefined) throw new Error("a phase is missing");
  const peakMemory = platform.peakMemory();
  const checks = [
    ...ledgers.flat(),
    ...judge({ capacity, alone, flooded, beside, after, peakMemory, oldest: watching.map(({ watched }) => watched) }),
  ];
  print(phaseTable(run.phases));
  print(
    `seconds with a POST beside the flood over ${(3 * alone.post[1]).toFixed(0)} ms: ${slowSeconds(beside, 3 * alone.post[1])}`,
  );
  print(`workerd used ${cores.toFixed(2)} cores during the overload\n`);
  for (const { what, is, ok } of checks) print(`${ok ? "ok  " : "FAIL"} ${what}: ${is}`);
  return { environment: about, phases: run.phases, cores, watched: watching.map(({ watched }) => watched), checks };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function withoutLatencies(key: string, value: unknown): unknown {
  return key === "latencies" ? undefined : value;
}
