import { compileEventExpression, type Expression } from "../expressions/expression.ts";
import { durationMs } from "../windows/duration.ts";
import type { PlanProblem } from "../windows/plan.ts";
import type { WatermarkPolicy } from "../windows/watermark.ts";
import type { PatternDefinition } from "./definition.ts";

/** A definition as it is stored. */
export interface StoredPattern {
  /** Never used twice in a tenant; another one for each version. */
  readonly id: number;
  /** 1, 2, … under the same name, until it is deleted. */
  readonly version: number;
  readonly definition: PatternDefinition;
}

/** A pattern ready to be tried on events. */
export interface PatternPlan extends StoredPattern {
  readonly timing: WatermarkPolicy;
  /** Path of the key under the event; undefined = all the tenant's events together. */
  readonly keyPath: readonly string[] | undefined;
  /** Expressions with the bits of the steps that they mark. */
  readonly steps: readonly { readonly filter: Expression; readonly bit: number }[];
}

/** Bit of an event that begins a match, and of every event of a `count`. */
export const FIRST = 1;
/** Bit of an event that follows it. */
export const SECOND = 2;

/** Compiles a valid definition. Expressions that do not parse come back as problems, all of them. */
export function planPattern(
  stored: StoredPattern,
): { ok: true; plan: PatternPlan } | { ok: false; problems: PlanProblem[] } {
  const { definition } = stored;
  const problems: PlanProblem[] = [];
  const steps: { filter: Expression; bit: number }[] = [];
  for (const { name, source, bit } of filtersOf(definition)) {
    const compiled = compileEventExpression(source);
    if (compiled.ok) steps.push({ filter: compiled.expression, bit });
    else
      problems.push({
        field: `${name}.filter`,
        message: compiled.message,
        line: compiled.line,
        column: compiled.column,
      });
  }
  if (problems.length > 0) return { ok: false, problems };
  const timing = {
    outOfOrdernessMs: durationMs(definition.out_of_orderness ?? "10s"),
    idleTimeoutMs: durationMs(definition.idle_timeout ?? "30s"),
  };
  return { ok: true, plan: { ...stored, timing, keyPath: definition.key?.split("."), steps } };
}

function filtersOf(definition: PatternDefinition): { name: string; source: string; bit: number }[] {
  if (definition.kind === "count") return [{ name: "event", source: definition.event.filter, bit: FIRST }];
  return [
    { name: "first", source: definition.first.filter, bit: FIRST },
    { name: "second", source: definition.second.filter, bit: SECOND },
  ];
}
