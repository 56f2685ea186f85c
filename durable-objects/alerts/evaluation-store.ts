import { EMPTY_STATE, NO_INSTANCES } from "../../core/alerts/aggregation-rules.ts";
import type { AggregationState, Remembered, Trouble } from "../../core/alerts/aggregation-rules.ts";
import type { Cursor } from "../../core/alerts/cursor.ts";
import type { Values } from "../../core/alerts/group.ts";
import { packInstances, packPages, unpackInstances } from "../../core/alerts/instance.ts";
import type { Instances } from "../../core/alerts/instance.ts";

interface Position {
  readonly cursor: Cursor | null;
  readonly troubles: readonly (readonly [ruleId: string, Trouble])[];
}

/**
 * Where the rules stand: in memory, and in rows from which an evicted object goes on as if nothing had happened.
 * One closed window costs one row for its aggregation, and a row per page of open alerts of each rule that has any.
 */
export class EvaluationStore {
  readonly #sql: SqlStorage;
  readonly #states = new Map<string, AggregationState>();

  constructor(sql: SqlStorage, ruleIdsOf: (aggregation: string) => readonly string[]) {
    this.#sql = sql;
    const rows = sql.exec<{ aggregation: string; body: string }>("select aggregation, body from positions").toArray();
    for (const { aggregation, body } of rows) {
      const { cursor, troubles }: Position = JSON.parse(body);
      const instances = new Map(ruleIdsOf(aggregation).map((id) => [id, this.#readInstances(id)]));
      const remembered = this.#readRemembered(aggregation);
      this.#states.set(aggregation, { cursor, instances, remembered, troubles: new Map(troubles) });
    }
  }

  state(aggregation: string): AggregationState {
    return this.#states.get(aggregation) ?? EMPTY_STATE;
  }

  has(aggregation: string): boolean {
    return this.#states.has(aggregation);
  }

  /** Pending and firing alerts of the tenant. */
  get openAlerts(): number {
    let open = 0;
    for (const { instances } of this.#states.values()) for (const { size } of instances.values()) open += size;
    return open;
  }

  /** Aggregations with pending or firing alerts: these must hear of windows without events too. */
  get openAggregations(): string[] {
    return [...this.#states].flatMap(([aggregation, { instances }]) =>
      [...instances.values()].some(({ size }) => size > 0) ? [aggregation] : [],
    );
  }

  /** Writes what differs from the state in memory. Call `hold` once the transaction has committed. */
  write(aggregation: string, after: AggregationState): void {
    const before = this.state(aggregation);
    const position: Position = { cursor: after.cursor, troubles: [...after.troubles] };
    this.#sql.exec(
      "insert or replace into positions (aggregation, body) values (?, ?)",
      aggregation,
      JSON.stringify(position),
    );
    for (const [ruleId, instances] of after.instances) {
      const was = before.instances.get(ruleId) ?? NO_INSTANCES;
      if (instances !== was && instances.size + was.size > 0) this.#writeInstances(ruleId, instances);
    }
    if (after.remembered !== before.remembered) this.#writeRemembered(aggregation, before.remembered, after.remembered);
  }

  hold(aggregation: string, state: AggregationState): void {
    this.#states.set(aggregation, state);
  }

  /** Deletes the rows of an aggregation that no rule watches any more. Call `forget` once the transaction has committed. */
  erase(aggregation: string): void {
    this.#sql.exec("delete from positions where aggregation = ?", aggregation);
    this.#sql.exec("delete from previous_values where aggregation = ?", aggregation);
  }

  forget(aggregation: string): void {
    this.#states.delete(aggregation);
  }

  #readInstances(ruleId: string): Instances {
    const query = "select body from instances where rule_id = ? order by page";
    const pages = this.#sql.exec<{ body: string }>(query, ruleId).toArray();
    return unpackInstances(pages.map(({ body }) => body));
  }

  #writeInstances(ruleId: string, instances: Instances): void {
    const pages = packInstances(instances);
    for (const [page, body] of pages.entries()) {
      this.#sql.exec("insert or replace into instances (rule_id, page, body) values (?, ?, ?)", ruleId, page, body);
    }
    this.#sql.exec("delete from instances where rule_id = ? and page >= ?", ruleId, pages.length);
  }

  #readRemembered(aggregation: string): Remembered[] {
    const query = "select window_end, body from previous_values where aggregation = ? order by window_end, page";
    const byEnd = new Map<number, Map<string, Values>>();
    for (const row of this.#sql.exec<{ window_end: number; body: string }>(query, aggregation)) {
      const entries: readonly (readonly [string, Values])[] = JSON.parse(row.body);
      const values = byEnd.get(row.window_end) ?? new Map<string, Values>();
      for (const [key, value] of entries) values.set(key, value);
      byEnd.set(row.window_end, values);
    }
    return [...byEnd].map(([end, values]) => ({ end, values }));
  }

  #writeRemembered(aggregation: string, before: readonly Remembered[], after: readonly Remembered[]): void {
    for (const was of before) {
      if (after.includes(was)) continue;
      const query = "delete from previous_values where aggregation = ? and window_end = ?";
      this.#sql.exec(query, aggregation, was.end);
    }
    const query = "insert or replace into previous_values (aggregation, window_end, page, body) values (?, ?, ?, ?)";
    for (const now of after) {
      if (before.includes(now)) continue;
      for (const [page, body] of packPages(now.values).entries())
        this.#sql.exec(query, aggregation, now.end, page, body);
    }
  }
}
