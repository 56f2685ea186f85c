import { matchesAlike, MAX_PATTERNS, type PatternDefinition, patternSchema } from "../../core/patterns/definition.ts";
import { type PatternPlan, planPattern, type StoredPattern } from "../../core/patterns/plan.ts";
import type { PlanProblem } from "../../core/windows/plan.ts";
import type { PatternTerms } from "../patterns/messages.ts";
import type { ShardTables } from "./tables.ts";

export type PatternRefusal =
  | { readonly ok: false; readonly reason: "problems"; readonly problems: readonly PlanProblem[] }
  | { readonly ok: false; readonly reason: "exists" | "too_many" | "not_found" };

/** A pattern in use. */
export interface BookedPattern extends PatternPlan {
  /** It sees the events of the log after this entry. */
  readonly since: number;
}

interface Saved {
  readonly epoch: number;
  readonly nextId: number;
  readonly patterns: readonly (StoredPattern & { readonly since: number })[];
}

/** A tenant's patterns, as its home keeps them. */
export class PatternBook {
  readonly #tables: ShardTables;
  #epoch: number;
  #nextId: number;
  #patterns: readonly BookedPattern[];

  /** @throws Error when a stored pattern no longer compiles */
  constructor(tables: ShardTables) {
    this.#tables = tables;
    const saved = tables.readMeta("patterns") as Saved | undefined;
    this.#epoch = saved?.epoch ?? 0;
    this.#nextId = saved?.nextId ?? 1;
    this.#patterns = (saved?.patterns ?? []).map(bookedOrThrow);
  }

  /** In the order in which they were made. */
  get patterns(): readonly BookedPattern[] {
    return this.#patterns;
  }

  /** Another one after each change. */
  get epoch(): number {
    return this.#epoch;
  }

  /** What is told to keepers. */
  get stored(): StoredPattern[] {
    return this.#patterns.map(({ id, version, definition }) => ({ id, version, definition }));
  }

  find(name: string): BookedPattern | undefined {
    return this.#patterns.find(({ definition }) => definition.name === name);
  }

  /**
   * What `write` would make of a definition: a pattern or the next version of one. One that finds other matches than before starts anew as the next version; otherwise it goes on.
   * @param lastEntry of the log: a new one sees what comes after it
   */
  draft(
    definition: PatternDefinition,
    mode: "create" | "replace",
    lastEntry: number,
  ): { readonly ok: true; readonly pattern: BookedPattern } | PatternRefusal {
    const known = this.find(definition.name);
    if (mode === "create" && known !== undefined) return { ok: false, reason: "exists" };
    if (mode === "replace" && known === undefined) return { ok: false, reason: "not_found" };
    if (known === undefined && this.#patterns.length >= MAX_PATTERNS) return { ok: false, reason: "too_many" };
    const goesOn = known !== undefined && matchesAlike(known.definition, definition);
    const id = goesOn ? known.id : this.#nextId;
    const version = goesOn ? known.version : (known?.version ?? 0) + 1;
    const planned = planPattern({ id, version, definition });
    if (!planned.ok) return { ok: false, reason: "problems", problems: planned.problems };
    return { ok: true, pattern: { ...planned.plan, since: goesOn ? known.since : lastEntry } };
  }

  /** Puts a drafted pattern in its place. Part of a change. */
  write(pattern: BookedPattern): void {
    const known = this.find(pattern.definition.name);
    this.#nextId = Math.max(this.#nextId, pattern.id + 1);
    this.#change(
      known === undefined ? [...this.#patterns, pattern] : this.#patterns.with(this.#patterns.indexOf(known), pattern),
    );
  }

  /** Takes over home's definitions; a shard's to do, as part of a change. @param lastEntry what is new here sees what comes after it */
  learn({ epoch, patterns }: PatternTerms, lastEntry: number): void {
    const sinceOf = (id: number): number => this.#patterns.find((known) => known.id === id)?.since ?? lastEntry;
    this.#epoch = epoch - 1;
    this.#change(patterns.map((pattern) => bookedOrThrow({ ...pattern, since: sinceOf(pattern.id) })));
  }

  /** Part of a change. */
  drop(known: BookedPattern): void {
    this.#change(this.#patterns.filter((pattern) => pattern !== known));
  }

  #change(patterns: readonly BookedPattern[]): void {
    this.#epoch++;
    this.#patterns = patterns;
    const saved: Saved = {
      epoch: this.#epoch,
      nextId: this.#nextId,
      patterns: patterns.map(({ id, version, definition, since }) => ({ id, version, definition, since })),
    };
    this.#tables.writeMeta("patterns", saved);
  }
}

function bookedOrThrow(saved: Saved["patterns"][number]): BookedPattern {
  const planned = planPattern({ ...saved, definition: patternSchema.parse(saved.definition) });
  if (planned.ok) return { ...planned.plan, since: saved.since };
  throw new Error(`stored pattern ${saved.definition.name} no longer compiles: ${planned.problems[0]?.message ?? ""}`);
}
