import type { Mismatch } from "../../core/alerts/rule-tests/compare.ts";
import { ruleTestsSchema } from "../../core/alerts/rule-tests/file.ts";
import { runRuleTests } from "../../core/alerts/rule-tests/run.ts";
import type { TestResult } from "../../core/alerts/rule-tests/run.ts";
import type { Command } from "../command.ts";
import { CliError, UsageError } from "../errors.ts";
import type { Options } from "../options.ts";
import { mismatchLines } from "./diff.ts";
import { checked, problemList, readYaml } from "./yaml-file.ts";

const HELP = `streamflow rules test <file …>: run alert rules against written series, without a platform.

A file holds rules as they are posted to /api/v1/rules, and tests: series in promtool's notation, and which alerts must
be firing (and pending) at which times. The rules run in the code that the platform runs. See docs/rule-tests.md.

  --json   print the results as JSON

Exit code 0 when every test passes, 1 when one does not, 2 when a file cannot be used.
`;

/** `streamflow rules`. */
export const rules: Command = { help: HELP, options: { json: { type: "boolean" } }, run };

/** The tests of one file. */
interface FileResult {
  readonly file: string;
  readonly tests: readonly TestResult[];
}

async function run(options: Options): Promise<number> {
  const [action, ...files] = options.positionals;
  if (action !== "test" || files.length === 0) throw new UsageError("Say what to do: test <file …>.");
  const results = files.map(runFile);
  const failed = results.flatMap(({ tests }) => tests).filter(hasFailed).length;
  process.stdout.write(options.has("json") ? `${JSON.stringify(results)}\n` : results.map(reportOf).join(""));
  return failed === 0 ? 0 : 1;
}

function runFile(file: string): FileResult {
  const result = runRuleTests(checked(file, ruleTestsSchema, readYaml(file)));
  if (!result.ok) throw new CliError(problemList(file, result.problems), 2);
  return { file, tests: result.tests };
}

function hasFailed({ mismatches }: TestResult): boolean {
  return mismatches.length > 0;
}

function reportOf({ file, tests }: FileResult): string {
  const failed = tests.filter(hasFailed);
  const checks = tests.reduce((sum, test) => sum + test.checks, 0);
  const summary = failed.length === 0 ? "all pass" : `${failed.length} of ${tests.length} fail`;
  const lines = [`${file}: ${tests.length} tests, ${checks} checks: ${summary}`];
  for (const { name, mismatches } of failed) lines.push("", `  FAIL ${name}`, ...mismatches.flatMap(shown));
  if (failed.length > 0) lines.push("");
  return `${lines.join("\n")}\n`;
}

function shown(mismatch: Mismatch): string[] {
  return mismatchLines(mismatch).map((line) => `    ${line}`);
}
