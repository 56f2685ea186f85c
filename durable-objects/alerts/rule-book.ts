import { policyOf } from "../../core/alerts/dispatch/rule-policy.ts";
import type { RulePolicy } from "../../core/alerts/dispatch/rule-policy.ts";
import { compileRule } from "../../core/alerts/rule-logic.ts";
import type { RuleLogic } from "../../core/alerts/rule-logic.ts";
import type { RuleSpec } from "../../core/alerts/rule.ts";
import { watchOf } from "../../core/alerts/watch.ts";
import type { RuleWatch } from "../../core/alerts/watch.ts";

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
  readonly #policies = new Map<string, RulePolicy>();
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

  /** One enabled rule, ready to evaluate. @param version when it was written: undefined comes back for another writing */
  enabled(id: string, version: number): RuleLogic | undefined {
    const rule = this.#rules.get(id);
    return rule?.spec.enabled === true && rule.updatedAt === version ? this.#logic.get(id) : undefined;
  }

  /** How a rule's alerts are told of. */
  policy(id: string): RulePolicy | undefined {
    return this.#policies.get(id);
  }

  /** Policies of rules whose alerts others may inhibit. */
  inhibited(): RulePolicy[] {
    return [...this.#policies.values()].filter(({ inhibitions }) => inhibitions.length > 0);
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

  /** What the enabled rules want to be told, one entry per aggregation, sorted. */
  watches(): RuleWatch[] {
    const enabled = [...this.#rules.values()].filter(({ spec }) => spec.enabled);
    const names = [...new Set(enabled.map(({ spec }) => spec.aggregation))].sort();
    return names.map((name) => {
      const rules = enabled.filter(({ spec }) => spec.aggregation === name);
      const watched = rules.flatMap(({ id, spec, updatedAt: version }) => {
        const logic = this.#logic.get(id);
        return logic === undefined ? [] : { logic, spec, version };
      });
      return watchOf(name, watched);
    });
  }

  /** Rules that name a channel. */
  using(channelId: string): StoredRule[] {
    return [...this.#rules.values()].filter(({ spec }) =>
      [...spec.channels, ...(spec.escalation_channels ?? [])].includes(channelId),
    );
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
    this.#policies.delete(id);
    this.#problems.delete(id);
  }

  hold(rule: StoredRule): void {
    const { spec, measures } = rule;
    this.forget(rule.id);
    this.#rules.set(rule.id, rule);
    this.#policies.set(rule.id, policyOf(rule.id, spec));
    const compiled = compileRule(rule.id, spec, measures);
    if (compiled.ok) this.#logic.set(rule.id, compiled.logic);
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
