import { setTimeout as pause } from "node:timers/promises";
import { call, field, list, textOf } from "./api.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./errors.ts";
import type { Options } from "./options.ts";
import { printTable } from "./table.ts";
import { resolveTarget } from "./target.ts";

/** Pause between two looks at a move under way. */
const LOOK_EVERY_MS = 250;

const HELP = `streamflow shards [count]: over how many objects the tenant's events are spread. To change it needs an admin's key.

  without a count   shows how they are spread and how busy each object is
  1, 2, 4, 8 or 16  spreads them over so many from now on; nothing is lost or counted twice while they move
  auto              lets the platform decide by the load

  --wait   returns when the move is over
  --json   print the platform's answer as JSON
`;

/** `streamflow shards`. */
export const shards: Command = {
  help: HELP,
  options: { wait: { type: "boolean" }, json: { type: "boolean" } },
  run,
};

async function run(options: Options): Promise<number> {
  const [count, ...more] = options.positionals;
  if (more.length > 0) throw new UsageError("There are too many arguments.");
  const target = resolveTarget(options, process.env);
  const look = (): Promise<unknown> => call(target, "GET", "/api/v1/shards");
  let data = count === undefined ? await look() : await call(target, "PUT", "/api/v1/shards", { count: wanted(count) });
  while (options.has("wait") && field(data, "moving") === true) {
    await pause(LOOK_EVERY_MS);
    data = await look();
  }
  if (options.has("json")) process.stdout.write(`${JSON.stringify(data)}\n`);
  else print(data);
  return 0;
}

function wanted(count: string): number | "auto" {
  if (count === "auto") return count;
  if (!/^\d{1,3}$/.test(count)) throw new UsageError(`The count must be a number or auto, not "${count}".`);
  return Number(count);
}

function print(data: unknown): void {
  const state =
    field(data, "moving") === true ? `moving, ${textOf(data, "slots_in_transit")} slots in transit` : "at rest";
  process.stdout.write(
    `${textOf(data, "count")} ${field(data, "count") === 1 ? "shard" : "shards"} (${textOf(data, "mode")}), ${state}\n`,
  );
  printTable(list(data, "objects"), ["object", "slots", "events_applied", "events_per_second", "overloads"]);
}
