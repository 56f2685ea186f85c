import type { Command } from "./command.ts";
import { backtest } from "./backtest.ts";
import { CliError, UsageError } from "./errors.ts";
import { deadLetters } from "./dead-letters.ts";
import { keys } from "./keys.ts";
import { parseOptions } from "./options.ts";
import { load } from "./load/command.ts";
import { rules } from "./rules/command.ts";
import { send } from "./send.ts";
import { shards } from "./shards.ts";
import { ship } from "./ship/command.ts";
import { tail } from "./tail.ts";

const HELP = `streamflow: send events to StreamFlow and look at them.

Usage: streamflow <command> [options]

  ship <file>           send the lines of an access log or an NDJSON file as events
  send [JSON]           send one event
  tail                  print events as they arrive
  load                  send made-up events, to see how fast it goes
  shards [count]        over how many objects the events are spread
  keys                  create, list and revoke API keys
  dead-letters          list and replay what could not be processed
  rules test <file>     run alert rules against written series
  backtest <rule>       when a rule would have fired over stored windows

Every command takes
  --url URL    the platform (default: STREAMFLOW_URL, or the one that "npm start" runs here)
  --key KEY    an API key or token (default: STREAMFLOW_KEY, or the admin key of that local one)
  --help       what the command does and takes
`;

const COMMANDS: Readonly<Record<string, Command>> = {
  ship,
  send,
  tail,
  load,
  shards,
  keys,
  "dead-letters": deadLetters,
  rules,
  backtest,
};

// A reader that has enough (`| head`) closes the pipe; that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

process.exitCode = await run(process.argv.slice(2));

async function run([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    process.stdout.write(HELP);
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) return complain(`There is no command "${name}".\n\n${HELP}`, 2);
  try {
    const options = parseOptions(args, command.options);
    if (!options.has("help")) return await command.run(options);
    process.stdout.write(command.help);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) return complain(`${error.message}\nSee: streamflow ${name} --help`, 2);
    if (error instanceof CliError) return complain(error.message, error.exitCode);
    throw error;
  }
}

function complain(message: string, exitCode: number): number {
  process.stderr.write(`${message}\n`);
  return exitCode;
}
