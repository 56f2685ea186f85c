import { existsSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { request } from "../api.ts";
import { FIRST_GIVE_UP_AFTER_MS, GIVE_UP_AFTER_MS, deliver } from "../delivery.ts";
import { CliError, UsageError, messageOf } from "../errors.ts";
import type { Command } from "../command.ts";
import { textOptions } from "../options.ts";
import type { Options } from "../options.ts";
import { isLoopback, resolveTarget } from "../target.ts";
import type { Target } from "../target.ts";
import { FORMATS, lineTranslator } from "./line-event.ts";
import type { Format } from "./line-event.ts";
import { openLog, readLines } from "./lines.ts";
import { createProgress } from "./progress.ts";
import type { Progress } from "./progress.ts";
import { shipLines } from "./shipment.ts";
import type { ShipmentTotals } from "./shipment.ts";

const HELP = `streamflow ship <file>: send the lines of a log as events.

The file may be gzip; "-" is standard input. Shipping a file twice changes nothing: an event's id is made from the
source, the line and how often that line came before in the file.

  --format combined|common|ndjson   how the lines are written (default: combined)
  --source NAME                     who logged them; part of every event's id (default: this host's name)
  --batch N                         events in a request, 1 to 10000 (default: 500)
  --concurrency N                   requests in flight, 1 to 64 (default: 1, which keeps the file's order)
  --json                            print a summary as JSON: read, accepted, rejected, unparsed, seconds

Lines that do not parse are reported with their numbers and do not stop it. Refusals for load (429), outages (503) and
network errors are tried again for up to two minutes (15 seconds until the first batch is through). Exit code 0: every
line that parses was accepted; 1: some were rejected, none parses, or it could not go on; 2: wrong usage.
`;

const DEFAULT_BATCH = 500;
/** The exit code of a process that Ctrl-C ended, by the shells' custom. */
const INTERRUPTED = 130;
/** Rejections and unparsed lines printed one by one; the rest is only counted. */
const MAX_NOTES = 20;

/** `streamflow ship`. */
export const ship: Command = {
  help: HELP,
  options: { ...textOptions(["format", "source", "batch", "concurrency"]), json: { type: "boolean" } },
  run,
};

async function run(options: Options): Promise<number> {
  const path = readPath(options);
  const format = readFormat(options);
  const limits = {
    batch: options.integer("batch", { min: 1, max: 10_000 }) ?? DEFAULT_BATCH,
    concurrency: options.integer("concurrency", { min: 1, max: 64 }) ?? 1,
  };
  const source = options.text("source") ?? hostname();
  if (source === "" || source.length > 256) throw new UsageError("--source must have 1 to 256 characters.");
  const target = resolveTarget(options, process.env);
  return shipFile({ path, format, source, limits, target, json: options.has("json") });
}

interface Job {
  readonly path: string;
  readonly format: Format;
  readonly source: string;
  readonly limits: { readonly batch: number; readonly concurrency: number };
  readonly target: Target;
  readonly json: boolean;
}

async function shipFile(job: Job): Promise<number> {
  const startedAt = performance.now();
  const totals: ShipmentTotals = { read: 0, accepted: 0, rejected: 0, unparsed: [] };
  const progress = createProgress(process.stderr, startedAt, () => performance.now());
  const size = job.path === "-" ? null : statSync(job.path).size;
  let bytesRead = 0;
  const lines = readLines(openLog(job.path, (bytes) => void (bytesRead += bytes)));
  const finish = (): void => {
    progress.end();
    report(job, totals, (performance.now() - startedAt) / 1000);
  };
  // Nothing is lost by ending here: shipping the file again goes on where this stopped.
  process.once("SIGINT", () => {
    finish();
    process.exit(INTERRUPTED);
  });
  let failure: string | undefined;
  try {
    await shipLines(lines, job.limits, totals, {
      toEvent: lineTranslator(job.format, job.source),
      deliver: (events) => {
        const isFirst = totals.accepted + totals.rejected === 0;
        return deliver(
          events,
          deliveryTools(job.target, progress),
          isFirst ? FIRST_GIVE_UP_AFTER_MS : GIVE_UP_AFTER_MS,
        );
      },
      onRejected: noteRejection(progress),
      onProgress: ({ accepted }) => progress.show(size === null || size === 0 ? null : bytesRead / size, accepted),
    });
  } catch (error) {
    failure = error instanceof CliError ? error.message : `${job.path}: ${messageOf(error)}`;
  }
  finish();
  if (failure !== undefined) throw new CliError(failure);
  const nothingParsed = totals.read > 0 && totals.unparsed.length === totals.read;
  return totals.rejected > 0 || nothingParsed ? 1 : 0;
}

function deliveryTools(target: Target, progress: Progress) {
  // Across a network the bytes are what costs; on this machine the compression would be.
  const compress = !isLoopback(new URL(target.url));
  return {
    post: (events: readonly string[]) => {
      const text = `{"events":[${events.join(",")}]}`;
      const payload = compress
        ? { contentType: "application/json", contentEncoding: "gzip" as const, body: new Uint8Array(gzipSync(text)) }
        : { contentType: "application/json", body: text };
      return request(target, "POST", "/events/batch", payload);
    },
    wait: (ms: number) => wait(ms, undefined),
    now: () => performance.now(),
    random: () => Math.random(),
    onRetry: (cause: string, waitMs: number) =>
      progress.note(`${cause} Trying again in ${(waitMs / 1000).toFixed(1)} s.`),
  };
}

function noteRejection(progress: Progress): (line: number, reason: string, message: string) => void {
  let noted = 0;
  return (line, reason, message) => {
    noted++;
    if (noted <= MAX_NOTES) progress.note(`line ${line}: rejected, ${reason}: ${message}`);
    if (noted === MAX_NOTES) progress.note("Further rejections are only counted.");
  };
}

function count(n: number): string {
  return n.toLocaleString("en");
}

function report(job: Job, totals: ShipmentTotals, seconds: number): void {
  const { read, accepted, rejected, unparsed } = totals;
  if (job.json) {
    process.stdout.write(
      `${JSON.stringify({ read, accepted, rejected, unparsed, seconds: Math.round(seconds * 1000) / 1000 })}\n`,
    );
    return;
  }
  process.stdout.write(
    `${count(read)} lines read, ${count(accepted)} events accepted, ${count(rejected)} rejected, ${count(unparsed.length)} lines not parsed, in ${seconds.toFixed(1)} s.\n`,
  );
  if (unparsed.length === 0) return;
  const more = unparsed.length > MAX_NOTES ? ` and ${count(unparsed.length - MAX_NOTES)} more` : "";
  process.stdout.write(`Not in ${job.format} format: line ${unparsed.slice(0, MAX_NOTES).join(", ")}${more}.\n`);
}

function readPath(options: Options): string {
  const [path, ...more] = options.positionals;
  if (path === undefined || more.length > 0) throw new UsageError("Give one file to ship.");
  if (path !== "-" && !existsSync(path)) throw new CliError(`There is no file ${path}.`);
  if (path !== "-" && !statSync(path).isFile()) throw new CliError(`${path} is not a file.`);
  return path;
}

function readFormat(options: Options): Format {
  const text = options.text("format") ?? "combined";
  const format = FORMATS.find((name) => name === text);
  if (format === undefined) throw new UsageError(`--format must be one of ${FORMATS.join(", ")}, not "${text}".`);
  return format;
}
