import type { Aggregation } from "../../core/windows/aggregation.ts";
import { BUILT_IN_DEFINITIONS, type Definition, definitionSchema } from "../../core/windows/definition.ts";
import { type Plan, type PlanProblem, planOf } from "../../core/windows/plan.ts";
import { stepUnitOf, type StepUnit } from "../../core/windows/shape.ts";
import { type PastVersion, PastVersions } from "./past-versions.ts";
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
  /** True while windows that it came too late for are being filled in. */
  readonly filling: boolean;
  /** Why it does not count: its stored definition can no longer be understood. null when it counts. */
  readonly disabled: string | null;
  readonly pastVersions: readonly PastVersion[];
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
  /** An aggregation is new: what its windows lack is to be filled in. */
  readonly onMade: (aggregation: Aggregation, isBackfill: boolean) => void;
  readonly isFilling: (aggregation: Aggregation) => boolean;
}

/** What to do with a definition: make it, or put it in another's place; with `backfill`, count the closed windows by it too. */
export interface PutOptions {
  readonly mode: "create" | "replace";
  readonly backfill?: boolean;
}

/** A tenant's aggregations: the built-in ones and its own. */
export class Definitions {
  readonly #shard: Shard;
  readonly #deps: DefinitionsDeps;
  readonly past: PastVersions;
  /** Stored definitions that do not compile, by name: they do not count, and must not keep the others from it. */
  readonly #disabled = new Map<string, DisabledDefinition>();

  constructor(shard: Shard, deps: DefinitionsDeps) {
    this.#shard = shard;
    this.#deps = deps;
    this.past = new PastVersions(shard.tables);
    for (const stored of readDefinitions(shard.tables)) if (!stored.ok) this.#disabled.set(stored.name, stored);
  }

  list(): AggregationInfo[] {
    const counting = [...this.#shard.machine.aggregations.values()].map((aggregation) => this.#info(aggregation));
    return [...counting, ...[...this.#disabled.values()].map(disabledInfo)];
  }

  get(name: string): AggregationInfo | null {
    const aggregation = this.#shard.machine.aggregations.get(name);
    if (aggregation !== undefined) return this.#info(aggregation);
    const disabled = this.#disabled.get(name);
    return disabled === undefined ? null : disabledInfo(disabled);
  }

  /** Names and reasons of those that do not count. */
  get disabled(): readonly { readonly name: string; readonly problem: string }[] {
    return [...this.#disabled.values()];
  }

  /** What answers for a name and, if one is asked for, its version. */
  find(name: string, version: number | null): Aggregation | undefined {
    const newest = this.#shard.machine.aggregations.get(name);
    return version === null || version === newest?.version ? newest : this.past.find(name, version);
  }

  /**
   * Makes an aggregation, or replaces one. One that counts otherwise than before (filter, window, groups or measures) becomes the
   * next version: its open windows are filled in from the store, and the closed ones of the version before stay to be read. With
   * other times only, it goes on.
   */
  put(definition: Definition, { mode, backfill = false }: PutOptions, nowMs: number): PutResult {
    const { name } = definition;
    const known = this.#shard.machine.aggregations.get(name);
    const isKnown = known !== undefined || this.#disabled.has(name);
    if (known !== undefined && isBuiltIn(known)) return { ok: false, reason: "built_in" };
    if (mode === "create" && isKnown) return { ok: false, reason: "exists" };
    if (mode === "replace" && !isKnown) return { ok: false, reason: "not_found" };
    const defined = this.#shard.tables.definitions().length;
    if (!isKnown && defined >= MAX_AGGREGATIONS) return { ok: false, reason: "too_many" };
    const planned = planOf(definition);
    if (!planned.ok) return { ok: false, reason: "problems", problems: planned.problems };
    this.#shard.checkpoint(() => this.#write(known, planned.plan, backfill, nowMs));
    const aggregation = this.get(name);
    if (aggregation === null) throw new Error("a defined aggregation is gone");
    return { ok: true, aggregation, created: !isKnown };
  }

  delete(name: string): DeleteResult {
    const known = this.#shard.machine.aggregations.get(name);
    if (known === undefined && !this.#disabled.has(name)) return "not_found";
    if (known !== undefined && isBuiltIn(known)) return "built_in";
    if (this.#deps.hasRules(name)) return "has_rules";
    this.#shard.checkpoint(() => {
      if (known !== undefined) this.#drop(known);
      this.#dropDisabled(name);
      this.past.dropAll(name);
    });
    return "deleted";
  }

  #write(known: Aggregation | undefined, plan: Plan, backfill: boolean, nowMs: number): void {
    const { tables, machine } = this.#shard;
    const { definition } = plan;
    if (known !== undefined && countsAlike(known.plan.definition, definition)) {
      tables.writeDefinition(known.id, known.version, definition, nowMs);
      machine.retime(known, plan);
    } else {
      const version = (known?.version ?? this.#disabled.get(definition.name)?.version ?? 0) + 1;
      const id = this.#takeId();
      if (known !== undefined) this.#retire(known, nowMs);
      this.#dropDisabled(definition.name);
      tables.writeDefinition(id, version, definition, nowMs);
      this.#deps.onMade(machine.define(id, version, plan), backfill);
    }
    this.#deps.onPlanned();
  }

  #drop(aggregation: Aggregation): void {
    this.#forget(aggregation);
    this.#shard.tables.dropWindows(aggregation.id);
  }

  #retire(aggregation: Aggregation, nowMs: number): void {
    this.past.add(aggregation, nowMs);
    this.#forget(aggregation);
  }

  #forget(aggregation: Aggregation): void {
    const { tables, machine } = this.#shard;
    machine.aggregations.delete(aggregation.plan.definition.name);
    tables.dropDefinition(aggregation.id);
    this.#deps.onDropped(aggregation);
  }

  #dropDisabled(name: string): void {
    const disabled = this.#disabled.get(name);
    if (disabled === undefined) return;
    this.#disabled.delete(name);
    this.#shard.tables.dropDefinition(disabled.id);
    this.#shard.tables.dropWindows(disabled.id);
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
      filling: this.#deps.isFilling(aggregation),
      disabled: null,
      pastVersions: this.past.list(aggregation.plan.definition.name),
    };
  }
}

/** A stored definition that no longer compiles. */
interface DisabledDefinition {
  readonly ok: false;
  readonly id: number;
  readonly version: number;
  readonly name: string;
  readonly problem: string;
  readonly body: unknown;
}

type StoredDefinition = { readonly ok: true; readonly id: number; readonly plan: Plan } | DisabledDefinition;

/** Plans of the built-in definitions and of the stored ones that compile. */
export function storedPlans(tables: ShardTables): { id: number; plan: Plan }[] {
  const builtIn = BUILT_IN_DEFINITIONS.map((definition, k) => ({ id: k + 1, plan: planOrThrow(definition) }));
  return [...builtIn, ...readDefinitions(tables).flatMap((stored) => (stored.ok ? [stored] : []))];
}

function readDefinitions(tables: ShardTables): StoredDefinition[] {
  return tables.definitions().map(({ id, version, body }) => {
    const parsed = definitionSchema.safeParse(body);
    const planned = parsed.success ? planOf(parsed.data) : undefined;
    if (planned?.ok === true) return { ok: true, id, plan: planned.plan };
    const problem = planned?.problems[0]?.message ?? parsed.error?.issues[0]?.message ?? "is not valid";
    return { ok: false, id, version, name: nameIn(body) ?? `definition ${id}`, problem, body };
  });
}

function nameIn(body: unknown): string | null {
  return typeof body === "object" && body !== null && "name" in body && typeof body.name === "string"
    ? body.name
    : null;
}

/** Of the definition only what can still be shown. */
function disabledInfo({ name, version, problem }: DisabledDefinition): AggregationInfo {
  return {
    definition: { name, window: { type: "tumbling", size: "1h" }, measures: {} },
    version,
    builtIn: false,
    steps: { everyMs: 1000 },
    watermark: null,
    lateEvents: 0,
    duplicateEvents: 0,
    filterErrors: 0,
    openWindows: 0,
    filling: false,
    disabled: problem,
    pastVersions: [],
  };
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
