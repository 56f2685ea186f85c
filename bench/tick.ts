// What it costs to evaluate ten thousand alert instances on one closed window.
import { EMPTY_STATE, NO_INSTANCES, takeWindow } from "../core/alerts/aggregation-rules.ts";
import { packInstances } from "../core/alerts/instance.ts";
import { compileRule } from "../core/alerts/rule-logic.ts";
import type { RuleLogic } from "../core/alerts/rule-logic.ts";
import { ruleSchema } from "../core/alerts/rule.ts";
import type { ClosedWindow } from "../core/windows/window-json.ts";

const MINUTE = 60_000;
const INSTANCES = 10_000;
const TICKS = 60;

/** Milliseconds per window, over all ticks but the first, which opens the alerts. */
export interface TickResult {
  readonly instances: number;
  readonly ticks: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Of evaluation alone, without the text that is written down. */
  readonly evaluationP50: number;
}

/** One rule over 10,000 groups, or ten rules over 1,000: every instance is firing and holds, with new values each time. */
export function measureTick(rules: number): TickResult {
  const logic = Array.from({ length: rules }, (_, k) => ruleOf(`rule-${k}`));
  const groups = INSTANCES / rules;
  let state = EMPTY_STATE;
  let made = 0;
  const times: { readonly evaluation: number; readonly whole: number }[] = [];
  for (let tick = 0; tick <= TICKS; tick++) {
    const window = windowOf(tick, groups);
    const startedAt = performance.now();
    const step = takeWindow(logic, state, window, { newId: () => `alert-${made++}`, room: 20_000 });
    const evaluatedAt = performance.now();
    state = step.state;
    // What the object writes down, so that an eviction changes nothing.
    for (const { id } of logic) packInstances(state.instances.get(id) ?? NO_INSTANCES);
    const now = performance.now();
    if (tick > 0) times.push({ evaluation: evaluatedAt - startedAt, whole: now - startedAt });
  }
  if (made !== INSTANCES) throw new Error(`${made} alerts were opened instead of ${INSTANCES}`);
  const whole = sorted(times.map((time) => time.whole));
  const evaluation = sorted(times.map((time) => time.evaluation));
  return {
    instances: INSTANCES,
    ticks: TICKS,
    p50: at(whole, 0.5),
    p99: at(whole, 0.99),
    max: at(whole, 1),
    evaluationP50: at(evaluation, 0.5),
  };
}

function ruleOf(id: string): RuleLogic {
  const condition = "requests > threshold && group['data.host'] != 'nobody'";
  const spec = ruleSchema.parse({ name: id, aggregation: "a", condition, threshold: 10, level: "error" });
  const compiled = compileRule(id, spec, ["requests", "p95"]);
  if (!compiled.ok) throw new Error(compiled.message);
  return compiled.logic;
}

function windowOf(tick: number, groups: number): ClosedWindow {
  const start = tick * MINUTE;
  const all = Array.from({ length: groups }, (_, k) => {
    return {
      group: { "data.host": `host-${k}.example.com` },
      values: { requests: 100 + ((tick + k) % 900), p95: 12.5 + tick },
    };
  });
  return { aggregation: "a", version: 1, start, end: start + MINUTE, revision: 0, groups: all, stepMs: MINUTE };
}

function sorted(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}

function at(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}
