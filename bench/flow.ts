// `npm run bench:flow`: our four flow controllers beside our own implementations of the limiters people know, on the
// reference bottleneck: 1,000 items/s, 50 ms there and back, a finite queue that refuses what does not fit.
// Simulated time: the same seeds give the same table on any machine.
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Jitter } from "../test/sim/bottleneck.ts";
import { type Experiment, type Result, run } from "../test/sim/run.ts";
import { limiterByName, type LimiterName, mean } from "../test/sim/scenario.ts";

const HELP = `npm run bench:flow -- [--only a,b] [--seeds 1,2,3] [--json FILE]

  --only    rows: aimd, cubic, bbr, adaptive, vector-arc, envoy-gradient, netflix-gradient2, netflix-vegas, netflix-aimd
  --seeds   of the runs with jitter, which are averaged (default: 1,2,3); runs without it use the first
  --json    write all figures there as well
`;

const RATE = 1_000;
const BASE_RTT_MS = 50;
const JITTERS: readonly (readonly [string, Jitter | undefined])[] = [
  ["no jitter", undefined],
  ["jitter ± 20 %, each item for itself", { kind: "uniform", part: 0.2 }],
];
const CELLS = [
  { flows: 1, queue: 12 },
  { flows: 1, queue: 50 },
  { flows: 1, queue: 200 },
  { flows: 4, queue: 50 },
  { flows: 4, queue: 200 },
] as const;

/** What each row implements. */
const ROWS: Readonly<Record<LimiterName, string>> = {
  aimd: "RFC 5681, β 0.5, slow start RFC 9406",
  cubic: "RFC 9438, slow start RFC 9406",
  bbr: "draft-ietf-ccwg-bbr-06 with the departures of docs/decisions/0012",
  adaptive: "ours, docs/decisions/0012",
  "vector-arc": "controller.rs @05b56b7, defaults",
  "envoy-gradient": "gradient_controller.cc @149521d, defaults",
  "netflix-gradient2": "Gradient2Limit in 1 s windows, defaults",
  "netflix-vegas": "VegasLimit @141214d, per sample, defaults",
  "netflix-aimd": "AIMDLimit @784c960, per sample, defaults",
};
const NAMES = Object.keys(ROWS).filter((name): name is LimiterName => name in ROWS);

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    seeds: { type: "string", default: "1,2,3" },
    json: { type: "string" },
    help: { type: "boolean" },
  },
});
if (values.help === true) process.stdout.write(HELP);
else main(values.only?.split(",") ?? NAMES, values.seeds.split(",").map(Number), values.json);

function main(only: readonly string[], seeds: readonly number[], jsonPath: string | undefined): void {
  const rows = NAMES.filter((name) => only.includes(name));
  const figures: unknown[] = [];
  process.stdout.write(`node ${process.version}, seeds ${seeds.join(", ")}\n`);
  for (const name of rows) process.stdout.write(`  ${name.padEnd(18)} ${ROWS[name]}\n`);
  for (const [label, jitter] of JITTERS) {
    const used = jitter === undefined ? seeds.slice(0, 1) : seeds;
    process.stdout.write(
      `\nReference bottleneck, ${label}: utilisation / mean queue, items / refused, % / Jain's index\n\n`,
    );
    process.stdout.write(
      row(
        "",
        CELLS.map(({ flows, queue }) => `${flows} flow${flows > 1 ? "s" : ""}, queue ${queue}`),
      ),
    );
    process.stdout.write(
      row(
        "---",
        CELLS.map(() => "---"),
      ),
    );
    for (const name of rows) {
      const results = CELLS.map((cell) => used.map((seed) => run(reference(cell, jitter, seed), limiterByName(name))));
      figures.push({ name, label, cells: CELLS.map((cell, index) => ({ ...cell, ...summary(results[index] ?? []) })) });
      process.stdout.write(
        row(
          name,
          results.map((cell, index) => format(cell, CELLS[index]?.flows ?? 1)),
        ),
      );
    }
    process.stdout.write(`\nCapacity 1,000 → 500 at 30 s → 1,000 at 60 s, one flow, queue 50, ${label}: `);
    process.stdout.write("s until 90 % / refused, % from 5 s after the step\n\n");
    process.stdout.write(row("", ["down", "up"]) + row("---", ["---", "---"]));
    for (const name of rows) {
      const results = used.map((seed) => run(steps(jitter, seed), limiterByName(name)));
      process.stdout.write(row(name, [formatStep(results, 450, 30_000), formatStep(results, 900, 60_000)]));
    }
  }
  if (jsonPath !== undefined)
    writeFileSync(jsonPath, JSON.stringify({ node: process.version, seeds, figures }, null, 2));
}

function reference(cell: (typeof CELLS)[number], jitter: Jitter | undefined, seed: number): Experiment {
  const isOne = cell.flows === 1;
  return {
    seed,
    path: bottleneck(cell.queue, jitter),
    flows: [0, 5_000, 10_000, 15_000].slice(0, cell.flows).map((startMs) => ({ startMs })),
    durationMs: isOne ? 60_000 : 90_000,
    countFromMs: isOne ? 10_000 : 30_000,
    fairFromMs: isOne ? 10_000 : 70_000,
  };
}

function steps(jitter: Jitter | undefined, seed: number): Experiment {
  const changes = [
    { atMs: 30_000, ratePerSecond: RATE / 2 },
    { atMs: 60_000, ratePerSecond: RATE },
  ];
  const path = { ...bottleneck(50, jitter), steps: changes };
  return { seed, path, flows: [{ startMs: 0 }], durationMs: 90_000, countFromMs: 10_000 };
}

function bottleneck(queue: number, jitter: Jitter | undefined): Extract<Experiment["path"], { kind: "bottleneck" }> {
  const path = { kind: "bottleneck", ratePerSecond: RATE, baseRttMs: BASE_RTT_MS, queue } as const;
  return jitter === undefined ? path : { ...path, jitter };
}

function summary(results: readonly Result[]): Record<string, number> {
  const of = (figure: (result: Result) => number): number => mean(results.map(figure));
  return {
    utilisation: of(({ utilisation }) => utilisation),
    meanQueue: of(({ meanQueue }) => meanQueue),
    rejects: of(({ rejects }) => rejects),
    jain: of(({ jain }) => jain),
  };
}

function format(results: readonly Result[], flows: number): string {
  const { utilisation = 0, meanQueue = 0, rejects = 0, jain = 0 } = summary(results);
  const text = `${utilisation.toFixed(3)} / ${meanQueue.toFixed(1)} / ${(100 * rejects).toFixed(2)}`;
  return flows > 1 ? `${text} / ${jain.toFixed(3)}` : text;
}

function formatStep(results: readonly Result[], ratePerSecond: number, atMs: number): string {
  const seconds = Math.max(...results.map(({ meter }) => meter.reaches(ratePerSecond, atMs))) / 1_000;
  const rejects = mean(results.map(({ meter }) => meter.rejectsBetween(atMs + 5_000, atMs + 30_000)));
  return `${seconds === Infinity ? "never" : seconds.toFixed(1)} / ${(100 * rejects).toFixed(2)}`;
}

function row(name: string, cells: readonly string[]): string {
  return `| ${[name, ...cells].join(" | ")} |\n`;
}
