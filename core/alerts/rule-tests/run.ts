// Rules against written series: what is open at given times must be exactly what is expected.
import type { RuleLogic } from "../evaluate.ts";
import type { Instance } from "../instance.ts";
import { Replay } from "../replay.ts";
import { contradictionsOf } from "../rule.ts";
import type { RuleSpec } from "../rule.ts";
import { compileRule, lookBacksOf } from "../rule-logic.ts";
import { compared, seenAlert } from "./compare.ts";
import type { Mismatch } from "./compare.ts";
import type { RuleTest, RuleTests } from "./file.ts";
import { windowsOf } from "./windows.ts";

/** One test; it passed if nothing mismatches. */
export interface TestResult {
  readonly name: string;
  /** Expectations checked. */
  readonly checks: number;
  /** In order of time. */
  readonly mismatches: readonly Mismatch[];
}

/** What keeps a file from being run: the path of the field, and why. */
export interface FileProblem {
  readonly field: string;
  readonly message: string;
}

/** A file that was run, or what is wrong with it. */
export type RunResult =
  | { readonly ok: true; readonly tests: readonly TestResult[] }
  | { readonly ok: false; readonly problems: readonly FileProblem[] };

/** A rule with its place among the others, by which its alerts are found. */
interface ReadyRule {
  readonly spec: RuleSpec;
  readonly logic: RuleLogic;
}

/** Runs all tests of a file. */
export function runRuleTests({ rules, tests }: RuleTests): RunResult {
  const named = tests.map((test) => ({ ...test, series: withAggregations(test, rules) }));
  const problems = named.flatMap((test, nth) => problemsOf(rules, test, `tests.${nth}`));
  const ready: ReadyRule[] = [];
  for (const [nth, spec] of rules.entries()) {
    for (const { field, message } of contradictionsOf(spec)) problems.push({ field: `rules.${nth}.${field}`, message });
    const compiled = compileRule(`rule-${nth}`, spec, measuresOf(named, spec.aggregation));
    if (compiled.ok) ready.push({ spec, logic: compiled.logic });
    else problems.push({ field: `rules.${nth}.${compiled.field}`, message: compiled.message });
  }
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, tests: named.map((test, nth) => runTest(ready, test, test.name ?? `test ${nth + 1}`)) };
}

function runTest(rules: readonly ReadyRule[], test: RuleTest, name: string): TestResult {
  const timelines = new Map<string, Timeline>();
  for (const { spec } of rules) {
    if (!timelines.has(spec.aggregation)) timelines.set(spec.aggregation, new Timeline(test, spec.aggregation, rules));
  }
  const mismatches = test.expect
    .toSorted((a, b) => a.at - b.at)
    .flatMap(({ at: atMs, rule, firing, pending }) => {
      const found = rules.find(({ spec }) => spec.name === rule);
      if (found === undefined) return [];
      const open = timelines.get(found.spec.aggregation)?.openAt(atMs, found.logic.id) ?? [];
      const seen = (phase: Mismatch["phase"]) =>
        open.filter(({ timer }) => timer.phase === phase).map((instance) => seenAlert(found.spec, instance));
      return [
        ...compared({ atMs, rule, phase: "firing" }, firing, seen("firing")),
        ...(pending === undefined ? [] : compared({ atMs, rule, phase: "pending" }, pending, seen("pending"))),
      ];
    });
  return { name, checks: test.expect.length, mismatches };
}

/** The windows of one aggregation, taken as far as it is asked for. */
class Timeline {
  readonly #replay: Replay;
  readonly #windows: ReturnType<typeof windowsOf>;
  readonly #start: number;
  #next = 0;

  constructor(test: RuleTest, aggregation: string, rules: readonly ReadyRule[]) {
    const own = rules.filter(({ spec }) => spec.enabled && spec.aggregation === aggregation);
    const logics = own.map(({ logic }) => logic);
    this.#windows = windowsOf(test, aggregation, lookBacksOf(logics));
    this.#replay = new Replay(logics);
    this.#start = test.start;
  }

  /** @param atMs after the test's start, not before what was asked last */
  openAt(atMs: number, id: string): Instance[] {
    for (;;) {
      const window = this.#windows[this.#next];
      if (window === undefined || window.end > this.#start + atMs) break;
      this.#replay.take(window);
      this.#next++;
    }
    return [...this.#replay.open(id).values()];
  }
}

/** Where all rules read one aggregation, a series need not name it. */
function withAggregations({ series }: RuleTest, rules: readonly RuleSpec[]): RuleTest["series"] {
  const names = new Set(rules.map(({ aggregation }) => aggregation));
  const [only] = names.size === 1 ? names : [];
  return only === undefined ? series : series.map((one) => ({ aggregation: only, ...one }));
}

/** Measures are those that some series has: one that no test writes down is taken for a slip of the pen. */
function measuresOf(tests: readonly RuleTest[], aggregation: string): string[] {
  const own = tests.flatMap(({ series }) => series).filter((one) => one.aggregation === aggregation);
  return [...new Set(own.flatMap(({ values }) => Object.keys(values)))];
}

function problemsOf(rules: readonly RuleSpec[], test: RuleTest, path: string): FileProblem[] {
  const problems: FileProblem[] = [];
  for (const [k, { aggregation }] of test.series.entries()) {
    const field = `${path}.series.${k}.aggregation`;
    if (aggregation === undefined) problems.push({ field, message: "is needed: the rules read several" });
    else if (rules.every((rule) => rule.aggregation !== aggregation))
      problems.push({ field, message: `no rule reads ${aggregation}` });
  }
  for (const [k, { rule }] of test.expect.entries()) {
    const found = rules.filter(({ name }) => name === rule).length;
    if (found === 0) problems.push({ field: `${path}.expect.${k}.rule`, message: `there is no rule "${rule}"` });
    if (found > 1) problems.push({ field: `${path}.expect.${k}.rule`, message: `several rules are named "${rule}"` });
  }
  return problems;
}
