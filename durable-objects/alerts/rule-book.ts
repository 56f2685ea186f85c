import { compileCondition } from "../../core/alerts/condition.ts";
import type { RuleLogic } from "../../core/alerts/evaluate.ts";
import { patienceOf } from "../../core/alerts/rule.ts";
import type { RuleSpec } from "../../core/alerts/rule.ts";

/** A rule as stored. */
export interface StoredRule {
  readonly id: string;
  readonly spec: RuleSpec;
  /** Names of the aggregation's measures when the rule was written: what its condition may read. */
  readonly measures: readonly string[];
  /** Epoch ms. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

type Row = { id: string; spec: string; measures: string; created_at: number; updated_at: number };

/** The tenant's rules: rows, and in memory the conditions of the enabled ones, compiled. */
export class RuleBook {
  readonly #sql: SqlStorage;
  readonly #rules = new Map<string, StoredRule>();
  readonly #logic = new Map<string, RuleLogic>();
  readonly #problems = new Map<string, string>();

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    for (const row of sql.exec<Row>("select id, spec, measures, created_at, updated_at from rules")) {
      this.hold(fromRow(row));
    }
  }

  get size(): number {
    return this.#rules.size;
  }

  get(id: string): StoredRule | undefined {
    return this.#rules.get(id);
  }

  /** Why a stored condition is not evaluated: it compiled when it was written, and a later version of the platform refuses it. */
  problem(id: string): string | null {
    return this.#problems.get(id) ?? null;
  }

  /** Newest first. */
  list(): StoredRule[] {
    return [...this.#rules.values()].sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
  }

  /** The enabled rules of one aggregation, ready to evaluate. */
  watching(aggregation: string): RuleLogic[] {
    const enabled = [...this.#rules.values()].filter(({ spec }) => spec.enabled && spec.aggregation === aggregation);
    return enabled.flatMap(({ id }) => this.#logic.get(id) ?? []);
  }

  /** Ids of all rules on one aggregation. */
  idsOn(aggregation: string): string[] {
    return [...this.#rules.values()].filter(({ spec }) => spec.aggregation === aggregation).map(({ id }) => id);
  }

  /** Aggregations that an enabled rule watches, each once, sorted. */
  watchedAggregations(): string[] {
    const enabled = [...this.#rules.values()].filter(({ spec }) => spec.enabled);
    return [...new Set(enabled.map(({ spec }) => spec.aggregation))].sort();
  }

  /** Rules that name a channel. */
  using(channelId: string): StoredRule[] {
    return [...this.#rules.values()].filter(({ spec }) => spec.channels.includes(channelId));
  }

  /** Writes the row. Call `hold` once the transaction has committed. */
  write(rule: StoredRule): void {
    this.#sql.exec(
      "insert or replace into rules (id, spec, measures, created_at, updated_at) values (?, ?, ?, ?, ?)",
      rule.id,
      JSON.stringify(rule.spec),
      JSON.stringify(rule.measures),
      rule.createdAt,
      rule.updatedAt,
    );
  }

  /** Deletes the row. Call `forget` once the transaction has committed. */
  erase(id: string): void {
    this.#sql.exec("delete from rules where id = ?", id);
  }

  forget(id: string): void {
    this.#rules.delete(id);
    this.#logic.delete(id);
    this.#problems.delete(id);
  }

  hold(rule: StoredRule): void {
    const { spec, measures } = rule;
    this.forget(rule.id);
    this.#rules.set(rule.id, rule);
    const compiled = compileCondition(spec.condition, measures, spec.threshold);
    if (compiled.ok) this.#logic.set(rule.id, { id: rule.id, condition: compiled.condition, ...patienceOf(spec) });
    else this.#problems.set(rule.id, compiled.message);
  }
}

function fromRow(row: Row): StoredRule {
  return {
    id: row.id,
    spec: JSON.parse(row.spec),
    measures: JSON.parse(row.measures),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
