import type { MeasureFunction } from "../aggregates/accumulator.ts";
import { compileMeasure } from "../aggregates/measures.ts";
import { compileEventExpression, type Expression } from "../expressions/expression.ts";
import { DEFAULT_MAX_GROUPS, type Definition, type Timing, timingOf } from "./definition.ts";
import { shapeOf, type WindowShape } from "./shape.ts";

export interface PlannedMeasure {
  readonly name: string;
  readonly measure: MeasureFunction;
  /** Path under the event, or undefined for a measure without a field. */
  readonly path: readonly string[] | undefined;
  readonly filter: Expression | undefined;
}

/** A definition made ready to run. */
export interface Plan {
  readonly definition: Definition;
  readonly timing: Timing;
  readonly shape: WindowShape;
  readonly filter: Expression | undefined;
  readonly groupPaths: readonly (readonly string[])[];
  readonly measures: readonly PlannedMeasure[];
  readonly maxGroups: number;
}

/** Why an expression in a definition was refused, and where (line and column are 1-based). */
export interface PlanProblem {
  readonly field: string;
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

const pathOf = (text: string): readonly string[] => text.split(".");

/** Compiles a valid definition. Expressions that do not parse come back as problems, all of them. */
export function planOf(definition: Definition): { ok: true; plan: Plan } | { ok: false; problems: PlanProblem[] } {
  const problems: PlanProblem[] = [];
  const compile = (field: string, source: string | undefined): Expression | undefined => {
    if (source === undefined) return undefined;
    const compiled = compileEventExpression(source);
    if (compiled.ok) return compiled.expression;
    problems.push({ field, message: compiled.message, line: compiled.line, column: compiled.column });
    return undefined;
  };
  const plan: Plan = {
    definition,
    timing: timingOf(definition),
    shape: shapeOf(definition.window),
    filter: compile("filter", definition.filter),
    groupPaths: (definition.group_by ?? []).map(pathOf),
    maxGroups: definition.max_groups ?? DEFAULT_MAX_GROUPS,
    measures: Object.entries(definition.measures).map(([name, spec]) => ({
      name,
      measure: compileMeasure({
        fn: spec.fn,
        ...(spec.field === undefined ? {} : { field: spec.field }),
        ...(spec.q === undefined ? {} : { q: spec.q }),
        ...(spec.k === undefined ? {} : { k: spec.k }),
      }),
      path: spec.field === undefined ? undefined : pathOf(spec.field),
      filter: compile(`measures.${name}.filter`, spec.filter),
    })),
  };
  return problems.length === 0 ? { ok: true, plan } : { ok: false, problems };
}
