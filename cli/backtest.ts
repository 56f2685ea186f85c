import { call, field, list, textOf } from "./api.ts";
import type { Command } from "./command.ts";
import { CliError, UsageError } from "./errors.ts";
import { textOptions } from "./options.ts";
import type { Options } from "./options.ts";
import { readYaml } from "./rules/yaml-file.ts";
import { printTable } from "./table.ts";
import { resolveTarget } from "./target.ts";

const HELP = `streamflow backtest <rule id | file>: when a rule would have fired over the windows that are stored.

A file holds one rule as it is posted to /api/v1/rules, or a list under "rules" (YAML or JSON).

  --from TIME   RFC 3339 or epoch milliseconds; windows that start then or later (needed)
  --to TIME     windows that start before (default: now)
  --rule NAME   which rule of the file
  --json        print the platform's answer as JSON, with the series that the rule looked at

Exit code 0 when it could be run, whether or not the rule would have fired.
`;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `streamflow backtest`. */
export const backtest: Command = {
  help: HELP,
  options: { ...textOptions(["from", "to", "rule"]), json: { type: "boolean" } },
  run,
};

async function run(options: Options): Promise<number> {
  const [what, ...more] = options.positionals;
  const from = options.text("from");
  if (what === undefined || more.length > 0) throw new UsageError("Give one rule id or one file.");
  if (from === undefined) throw new UsageError("Say from when: --from 2026-01-01T00:00:00Z.");
  const to = options.text("to");
  const range = { from: time(from), ...(to === undefined ? {} : { to: time(to) }) };
  const target = resolveTarget(options, process.env);
  const data = UUID.test(what)
    ? await call(target, "POST", `/api/v1/rules/${what}/backtest`, range)
    : await call(target, "POST", "/api/v1/rules/backtest", { ...range, rule: ruleOf(what, options.text("rule")) });
  if (options.has("json")) process.stdout.write(`${JSON.stringify(data)}\n`);
  else print(data);
  return 0;
}

/** Digits are epoch milliseconds. */
function time(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}

function ruleOf(file: string, name: string | undefined): unknown {
  const value = readYaml(file);
  const listed = field(value, "rules");
  if (!Array.isArray(listed)) return value;
  const found = listed.filter((rule) => name === undefined || field(rule, "name") === name);
  if (found.length === 1) return found[0];
  const names = listed.map((rule) => textOf(rule, "name")).join(", ");
  throw new CliError(`${file} holds the rules ${names}; say which with --rule.`, 2);
}

function print(data: unknown): void {
  const rows = list(data, "alerts").map((alert) => {
    const intervals = list(alert, "intervals");
    const firing = intervals.find((interval) => field(interval, "state") === "firing");
    return {
      group: textOf(alert, "group"),
      opened: textOf(intervals[0], "from"),
      fired: textOf(firing, "from"),
      ended: textOf(intervals.at(-1), "to"),
      why: textOf(alert, "reason"),
      values: textOf(alert, "values"),
    };
  });
  printTable(rows, ["group", "opened", "fired", "ended", "why", "values"]);
  const [fired, total, windows] = ["fired", "alerts_total", "windows"].map((name) => textOf(data, name));
  process.stdout.write(`${fired} of ${total} alerts fire in ${windows} windows. Times are ends of windows.\n`);
  const errors = Number(field(data, "condition_errors"));
  if (errors > 0) {
    process.stderr.write(
      `The condition failed ${errors} times, the last time because: ${textOf(data, "last_error")}\n`,
    );
  }
}
