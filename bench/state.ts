// `npm run bench:state`: how fast one core counts, and what remembering costs.
import { ColumnarBuilder, EventBatch } from "../core/events/event-batch.ts";
import { NOTHING_LOADED } from "../core/windows/aggregation.ts";
import { BUILT_IN_DEFINITIONS, type Definition, definitionSchema } from "../core/windows/definition.ts";
import { type Plan, planOf } from "../core/windows/plan.ts";
import { SeenFilter } from "../core/windows/seen-filter.ts";
import { ShardMachine } from "../core/windows/shard-machine.ts";
import { USER_AGGREGATIONS } from "./aggregations.ts";
import { environment } from "./environment.ts";
import { measureOpenGroups, OPEN_GROUPS, type OpenGroupsResult } from "./open-groups.ts";

const BATCH = 500;
const RATE_EVENTS = 300_000;
function planned(definition: Definition): Plan {
  const result = planOf(definition);
  if (!result.ok) throw new Error(result.problems[0]?.message);
  return result.plan;
}

/** Batches as they come from the queue: text, which is decoded while the clock runs. */
function texts(events: number, dataOf: (k: number) => Record<string, string | number>): string[] {
  const list: string[] = [];
  const now = Date.UTC(2026, 10, 22, 10);
  for (let from = 0; from < events; from += BATCH) {
    const builder = new ColumnarBuilder();
    for (let k = from; k < from + BATCH; k++) {
      builder.add({
        id: `event-${k}-${(k * 7919) % 1000}`,
        type: "web.request",
        source: `web-${k % 4}`,
        timestamp: now + Math.floor(k / 10),
        receivedAt: now + Math.floor(k / 10),
        severity: k % 20 === 0 ? "high" : "low",
        user_id: `u${k % 5000}`,
        data: dataOf(k),
        metadata: {},
      });
    }
    list.push(builder.toText());
  }
  return list;
}

const request = (k: number): Record<string, string | number> => ({
  status: k % 9 === 0 ? 404 : 200,
  bytes: (k * 37) % 20_000,
  client_ip: `10.0.${k % 200}.${k % 250}`,
});

/** Events per second of one core: dedup and every aggregation, decoded batches. */
function rate(definitions: readonly Definition[]): { perSecond: number; machine: ShardMachine } {
  const plans = definitions.map((definition, k) => ({ id: k + 1, plan: planned(definition) }));
  const machine = new ShardMachine(undefined, plans, NOTHING_LOADED, () => undefined, undefined, new SeenFilter());
  const batches = texts(RATE_EVENTS, request).map((text) => EventBatch.fromText(text));
  const begun = process.cpuUsage();
  for (const batch of batches) machine.fold(batch, machine.offer(batch, () => false).fresh);
  const { user, system } = process.cpuUsage(begun);
  return { perSecond: RATE_EVENTS / ((user + system) / 1e6), machine };
}

const FIVE_MEASURES: Definition["measures"] = {
  n: { fn: "count" },
  users: { fn: "distinct", field: "user_id" },
  sum: { fn: "sum", field: "data.bytes" },
  max: { fn: "max", field: "data.bytes" },
  p95: { fn: "quantile", field: "data.bytes", q: 0.95 },
};

const users = USER_AGGREGATIONS.map((definition) => definitionSchema.parse(definition));
const { perSecond, machine } = rate([...BUILT_IN_DEFINITIONS, ...users]);
const { memory } = machine.deduplicator;
const figures = {
  environment: environment("bench:state"),
  pure_events_per_cpu_second: `${Math.round(perSecond).toLocaleString("en")} (goal ≥ 300,000): dedup, built-in and two user aggregations, in Node`,
  bytes_per_remembered_id: `${(memory.bytes / memory.size).toFixed(1)} (${memory.size.toLocaleString("en")} ids)`,
  open_groups: `${OPEN_GROUPS.toLocaleString("en")} in one window, in workerd; heaps by its inspector, of the whole isolate with the buffers beside V8's heap, after a collection`,
  with_a_count: report(await measureOpenGroups({ n: { fn: "count" } })),
  with_five_measures: report(await measureOpenGroups(FIVE_MEASURES)),
};
process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);

function report(result: OpenGroupsResult): Record<string, unknown> {
  return {
    bytes_per_open_group: Math.round(result.bytes / result.groups),
    heap_without_mb: megabytes(result.heapWithout),
    heap_most_while_filling_mb: megabytes(result.heapMost),
    heap_with_mb: `${megabytes(result.heapWith)} (goal ≤ 96)`,
    of_that_ids_mb: megabytes(result.idBytes),
    start_to_first_100_groups_ms: `${Math.round(result.wakeMs)} (goal ≤ 1,000)`,
    the_same_again_ms: Math.round(result.againMs),
    heap_after_that_mb: `${megabytes(result.heapWoken)} (goal ≤ 96)`,
  };
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
