import { EMPTY_STATE, NO_INSTANCES } from "../../core/alerts/aggregation-rules.ts";
import type { AggregationState, Trouble } from "../../core/alerts/aggregation-rules.ts";
import type { Cursor } from "../../core/alerts/cursor.ts";
import { groupKey } from "../../core/alerts/group.ts";
import type { Group } from "../../core/alerts/group.ts";
import { packInstances, packPages, unpackInstances } from "../../core/alerts/instance.ts";
import type { Instances } from "../../core/alerts/instance.ts";
import type { Presence, Quiet } from "../../core/alerts/presence.ts";

interface Position {
  readonly cursor: Cursor | null;
  readonly troubles: readonly (readonly [ruleId: string, Trouble])[];
  readonly settled?: readonly (readonly [ruleId: string, readonly (readonly [key: string, end: number])[]])[];
}

/** A seen group: since when (epoch ms) it is quiet, null while it is not. */
type SeenGroup = readonly [group: Group, since: number | null];

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
      const { cursor, troubles, settled: rows = [] }: Position = JSON.parse(body);
      const instances = new Map(ruleIdsOf(aggregation).map((id) => [id, this.#readInstances(id)]));
      const settled = new Map(rows.map(([id, keys]) => [id, new Map(keys)]));
      const presence = this.#readPresence(aggregation);
      this.#states.set(aggregation, { cursor, instances, settled, presence, troubles: new Map(troubles) });
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

  get aggregations(): string[] {
    return [...this.#states.keys()];
  }

  /** Writes what differs from the state in memory. Call `hold` once the transaction has committed. */
  write(aggregation: string, after: AggregationState): void {
    const before = this.state(aggregation);
    const settled = [...after.settled].map(([id, keys]) => [id, [...keys]] as const);
    const position: Position = { cursor: after.cursor, troubles: [...after.troubles], settled };
    this.#sql.exec(
      "insert or replace into positions (aggregation, body) values (?, ?)",
      aggregation,
      JSON.stringify(position),
    );
    for (const [ruleId, instances] of after.instances) {
      const was = before.instances.get(ruleId) ?? NO_INSTANCES;
      if (instances !== was && instances.size + was.size > 0) this.#writeInstances(ruleId, instances);
    }
    if (after.presence !== before.presence) this.#writePresence(aggregation, after.presence);
  }

  hold(aggregation: string, state: AggregationState): void {
    this.#states.set(aggregation, state);
  }

  /** Deletes the rows of an aggregation that no rule watches any more. Call `forget` once the transaction has committed. */
  erase(aggregation: string): void {
    this.#sql.exec("delete from positions where aggregation = ?", aggregation);
    this.#sql.exec("delete from seen_groups where aggregation = ?", aggregation);
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

  #readPresence(aggregation: string): Presence {
    const query = "select body from seen_groups where aggregation = ? order by page";
    const active = new Map<string, Group>();
    const quiet = new Map<string, Quiet>();
    for (const { body } of this.#sql.exec<{ body: string }>(query, aggregation)) {
      const page: readonly SeenGroup[] = JSON.parse(body);
      for (const [group, since] of page) {
        if (since === null) active.set(groupKey(group), group);
        else quiet.set(groupKey(group), { group, since });
      }
    }
    return { active, quiet };
  }

  #writePresence(aggregation: string, { active, quiet }: Presence): void {
    const seen: SeenGroup[] = [...active.values()].map((group) => [group, null]);
    for (const { group, since } of quiet.values()) seen.push([group, since]);
    const pages = packPages(seen);
    const query = "insert or replace into seen_groups (aggregation, page, body) values (?, ?, ?)";
    for (const [page, body] of pages.entries()) this.#sql.exec(query, aggregation, page, body);
    this.#sql.exec("delete from seen_groups where aggregation = ? and page >= ?", aggregation, pages.length);
  }
}
