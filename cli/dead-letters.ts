import { call, list } from "./api.ts";
import { UsageError } from "./errors.ts";
import type { Command } from "./command.ts";
import type { Options } from "./options.ts";
import { printTable } from "./table.ts";
import { resolveTarget } from "./target.ts";

const HELP = `streamflow dead-letters <action>: what could not be processed. Needs an admin's key.

  list            the letters, with why and how many events each holds
  replay [id …]   puts the given letters, or all, back on the queue; events that were counted already stay counted once

  --json   print the platform's answer as JSON
`;

/** `streamflow dead-letters`. */
export const deadLetters: Command = { help: HELP, options: { json: { type: "boolean" } }, run };

async function run(options: Options): Promise<number> {
  const [action, ...ids] = options.positionals;
  const target = resolveTarget(options, process.env);
  if (action === "list") {
    const data = await call(target, "GET", "/api/v1/dead-letters");
    if (options.has("json")) process.stdout.write(`${JSON.stringify(data)}\n`);
    else printTable(list(data, "dead_letters"), ["id", "reason", "events", "attempts", "created_at"]);
    return 0;
  }
  if (action !== "replay") throw new UsageError("Say what to do: list or replay.");
  const data = await call(target, "POST", "/api/v1/dead-letters/replay", ids.length === 0 ? {} : { ids });
  process.stdout.write(`${JSON.stringify(data)}\n`);
  return 0;
}
