import type { Aggregation } from "../../core/windows/aggregation.ts";
import { BUILT_IN_DEFINITIONS, type Definition, definitionSchema } from "../../core/windows/definition.ts";
import { type Plan, type PlanProblem, planOf } from "../../core/windows/plan.ts";
import { stepUnitOf, type StepUnit } from "../../core/windows/shape.ts";
import type { Shard } from "./shard.ts";
import type { ShardTables } from "./tables.ts";

/** Definitions beside the built-in ones. Each is folded for every event. */
export const MAX_AGGREGATIONS = 50;
/** Ids below this are the built-in definitions'. */
const FIRST_USER_ID = 100;

export interface AggregationInfo {
  readonly definition: Definition;
  readonly version: number;
  readonly builtIn: boolean;
  readonly steps: StepUnit;
  /** Epoch ms, or null before the first event. */
  readonly watermark: number | null;
  readonly lateEvents: number;
  readonly duplicateEvents: number;
  readonly filterErrors: number;
  readonly openWindows: number;
}

export type PutResult =
  | { readonly ok: true; readonly aggregation: AggregationInfo; readonly created: boolean }
  | { readonly ok: false; readonly reason: "problems"; readonly problems: readonly PlanProblem[] }
  | { readonly ok: false; readonly reason: "built_in" | "exists" | "too_many" | "not_found" };

export type DeleteResult = "deleted" | "not_found" | "built_in" | "has_rules";

/** Who else knows aggregations by name. Called within the change. */
export interface DefinitionsDeps {
  readonly hasRules: (name: string) => boolean;
  /** All windows of an aggregation are about to go. */
  readonly onDropped: (aggregation: Aggregation) => void;
  /** An aggregation has another plan from now on, with its windows or, after `onDropped`, without. */
  readonly onPlanned: () => void;
}

/** A tenant's aggregations: the built-in ones and its own. */
export class Definitions {
  readonly #shard: Shard;
  readonly #deps: DefinitionsDeps;

  constructor(shard: Shard, deps: DefinitionsDeps) {
    this.#shard = shard;
    this.#deps = deps;
  }

  list(): AggregationInfo[] {
    return [...this.#shard.machine.aggregations.values()].map((aggregation) => this.#info(aggregation));
  }

  get(name: string): AggregationInfo | null {
    const aggregation = this.#shard.machine.aggregations.get(name);
    return aggregation === undefined ? null : this.#info(aggregation);
  }

  /**
   * Makes an aggregation, or replaces one. One that counts otherwise than before (filter, window, groups or measures) starts
   * anew as the next version; with other times only, it goes on.
   */
  put(definition: Definition, mode: "create" | "replace", nowMs: number): PutResult {
    const known = this.#shard.machine.aggregations.get(definition.name);
    if (known !== undefined && isBuiltIn(known)) return { ok: false, reason: "built_in" };
    if (mode === "create" && known !== undefined) return { ok: false, reason: "exists" };
    if (mode === "replace" && known === undefined) return { ok: false, reason: "not_found" };
    const defined = this.#shard.tables.definitions().length;
    if (known === undefined && defined >= MAX_AGGREGATIONS) return { ok: false, reason: "too_many" };
    const planned = planOf(definition);
    if (!planned.ok) return { ok: false, reason: "problems", problems: planned.problems };
    this.#shard.checkpoint(() => this.#write(known, planned.plan, nowMs));
    const aggregation = this.get(definition.name);
    if (aggregation === null) throw new Error("a defined aggregation is gone");
    return { ok: true, aggregation, created: known === undefined };
  }

  delete(name: string): DeleteResult {
    const known = this.#shard.machine.aggregations.get(name);
    if (known === undefined) return "not_found";
    if (isBuiltIn(known)) return "built_in";
    if (this.#deps.hasRules(name)) return "has_rules";
    this.#shard.checkpoint(() => this.#drop(known));
    return "deleted";
  }

  #write(known: Aggregation | undefined, plan: Plan, nowMs: number): void {
    const { tables, machine } = this.#shard;
    const { definition } = plan;
    if (known !== undefined && countsAlike(known.plan.definition, definition)) {
      tables.writeDefinition(known.id, known.version, definition, nowMs);
      machine.retime(known, plan);
    } else {
      const version = (known?.version ?? 0) + 1;
      const id = this.#takeId();
      if (known !== undefined) this.#drop(known);
      tables.writeDefinition(id, version, definition, nowMs);
      machine.define(id, version, plan);
    }
    this.#deps.onPlanned();
  }

  #drop(aggregation: Aggregation): void {
    const { tables, machine } = this.#shard;
    machine.aggregations.delete(aggregation.plan.definition.name);
    tables.dropDefinition(aggregation.id);
    tables.dropWindows(aggregation.id);
    this.#deps.onDropped(aggregation);
  }

  /** Never used twice: windows are kept by it. */
  #takeId(): number {
    const { tables } = this.#shard;
    const next = (tables.readMeta("next_aggregation") as number | undefined) ?? FIRST_USER_ID;
    tables.writeMeta("next_aggregation", next + 1);
    return next;
  }

  #info(aggregation: Aggregation): AggregationInfo {
    return {
      definition: aggregation.plan.definition,
      version: aggregation.version,
      builtIn: isBuiltIn(aggregation),
      steps: stepUnitOf(aggregation.plan.shape),
      watermark: Number.isFinite(aggregation.watermark) ? aggregation.watermark : null,
      lateEvents: aggregation.lateEvents,
      duplicateEvents: this.#shard.machine.allDuplicates - aggregation.duplicatesBefore,
      filterErrors: aggregation.filterErrors,
      openWindows: aggregation.windows.countOpen(),
    };
  }
}

/** Plans of the built-in definitions and of the stored ones. @throws Error when a stored one no longer compiles */
export function storedPlans(tables: ShardTables): { id: number; plan: Plan }[] {
  const builtIn = BUILT_IN_DEFINITIONS.map((definition, k) => ({ id: k + 1, plan: planOrThrow(definition) }));
  const own = tables.definitions().map(({ id, body }) => ({ id, plan: planOrThrow(definitionSchema.parse(body)) }));
  return [...builtIn, ...own];
}

function isBuiltIn({ id }: Aggregation): boolean {
  return id < FIRST_USER_ID;
}

/** True when two definitions put the same events into the same windows, groups and measures. */
function countsAlike(a: Definition, b: Definition): boolean {
  return counting(a) === counting(b);
}

function counting({ filter, window, group_by, measures, max_groups }: Definition): string {
  return JSON.stringify([filter, window, group_by, Object.entries(measures), max_groups]);
}

function planOrThrow(definition: Definition): Plan {
  const planned = planOf(definition);
  if (planned.ok) return planned.plan;
  throw new Error(`stored definition ${definition.name} no longer compiles: ${planned.problems[0]?.message ?? ""}`);
}
