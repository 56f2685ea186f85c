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

/** Which rows are grouped, and by what. */
export interface GroupingTerms {
  readonly filter: Expression | undefined;
  readonly paths: readonly (readonly string[])[];
  /** The same for the same terms: made beforehand, as it is asked for with each batch. */
  readonly name: string;
}

/** A definition made ready to run. */
export interface Plan {
  readonly definition: Definition;
  readonly timing: Timing;
  readonly shape: WindowShape;
  readonly filter: Expression | undefined;
  readonly grouping: GroupingTerms;
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

function groupingTermsOf(filter: Expression | undefined, paths: readonly string[]): GroupingTerms {
  return { filter, paths: paths.map(pathOf), name: JSON.stringify([filter?.source ?? null, ...paths]) };
}

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
  const filter = compile("filter", definition.filter);
  const plan: Plan = {
    definition,
    timing: timingOf(definition),
    shape: shapeOf(definition.window),
    filter,
    grouping: groupingTermsOf(filter, definition.group_by ?? []),
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
