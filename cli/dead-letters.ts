import { call, field, list } from "./api.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./errors.ts";
import type { Options } from "./options.ts";
import { printTable } from "./table.ts";
import { resolveTarget } from "./target.ts";
import type { Target } from "./target.ts";

const HELP = `streamflow dead-letters <action>: what could not be processed. Needs an admin's key.

  list            the oldest 1,000 letters, with why and how many events each holds
  replay [id …]   puts the given letters, or all, back on the queue; events that were counted already stay counted once

  --json   print the platform's answer as JSON

Exit code 1 when letters remain that were to be replayed.
`;

/** `streamflow dead-letters`. */
export const deadLetters: Command = { help: HELP, options: { json: { type: "boolean" } }, run };

async function run(options: Options): Promise<number> {
  const [action, ...ids] = options.positionals;
  const target = resolveTarget(options, process.env);
  if (action === "list" && ids.length === 0) return show(target, options.has("json"));
  if (action === "replay") return replay(target, ids, options.has("json"));
  throw new UsageError("Say what to do: list or replay.");
}

async function show(target: Target, json: boolean): Promise<number> {
  const data = await call(target, "GET", "/api/v1/dead-letters?limit=1000");
  if (json) process.stdout.write(`${JSON.stringify(data)}\n`);
  else {
    printTable(list(data, "dead_letters"), ["id", "reason", "events", "attempts", "created_at"]);
    if (typeof field(data, "next_cursor") === "string") process.stdout.write("There are more.\n");
  }
  return 0;
}

/** What replaying came to, over all requests. */
interface Replay {
  replayed: number;
  events: number;
  readonly failed: unknown[];
  readonly not_replayable: unknown[];
  remaining: number;
}

/**
 * The platform replays a bounded number at a time, so it is asked until as many were replayed as there were at first: a
 * letter that fails again is not replayed for ever.
 */
async function replay(target: Target, ids: readonly string[], json: boolean): Promise<number> {
  const sum: Replay = { replayed: 0, events: 0, failed: [], not_replayable: [], remaining: 0 };
  let wanted: number | undefined;
  let replayed: number;
  do {
    const data = await call(target, "POST", "/api/v1/dead-letters/replay", ids.length === 0 ? {} : { ids });
    replayed = Number(field(data, "replayed"));
    sum.replayed += replayed;
    sum.events += Number(field(data, "events"));
    sum.remaining = Number(field(data, "remaining"));
    wanted ??= ids.length === 0 ? replayed + sum.remaining : ids.length;
    sum.failed.splice(0, Infinity, ...list(data, "failed"));
    sum.not_replayable.splice(0, Infinity, ...list(data, "not_replayable"));
  } while (ids.length === 0 && replayed > 0 && sum.replayed < wanted);
  const left = sum.failed.length + sum.not_replayable.length;
  if (json) process.stdout.write(`${JSON.stringify(sum)}\n`);
  else {
    process.stdout.write(
      `${sum.replayed} letters with ${sum.events} events replayed, ${sum.remaining} letters remain.\n`,
    );
    for (const letter of [...sum.failed, ...sum.not_replayable])
      process.stdout.write(`not replayed: ${JSON.stringify(letter)}\n`);
  }
  return left === 0 ? 0 : 1;
}
