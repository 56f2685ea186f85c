// `npm run bench:state`: how fast one core counts, and what remembering costs. Core code in Node; the disk is SQLite, as in an object.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ColumnarBuilder, EventBatch } from "../core/events/event-batch.ts";
import { type LoadWindows, NOTHING_LOADED } from "../core/windows/aggregation.ts";
import { BUILT_IN_DEFINITIONS, type Definition, definitionSchema } from "../core/windows/definition.ts";
import { IdMemory } from "../core/windows/id-memory.ts";
import { type Plan, planOf } from "../core/windows/plan.ts";
import { SeenFilter } from "../core/windows/seen-filter.ts";
import { type MachineState, ShardMachine } from "../core/windows/shard-machine.ts";
import { firstGroups } from "../core/windows/window-json.ts";
import { USER_AGGREGATIONS } from "./aggregations.ts";
import { environment } from "./environment.ts";

const BATCH = 500;
const RATE_EVENTS = 300_000;
const GROUPS = 200_000;
const GROUPS_CHANGED = 10;
/** As an object does: at so many events a checkpoint is due. */
const EVENTS_PER_CHECKPOINT = 50_000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function planned(definition: Definition): Plan {
  const result = planOf(definition);
  if (!result.ok) throw new Error(result.problems[0]?.message);
  return result.plan;
}

/** Bytes of the heap and of the buffers beside it, after a collection. */
function heapBytes(): number {
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
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

/** The windows table of an object. */
class Disk {
  readonly #folder = mkdtempSync(join(tmpdir(), "streamflow-state-"));
  readonly #db = new DatabaseSync(join(this.#folder, "state.sqlite"));
  rows = 0;
  bytes = 0;

  constructor() {
    this.#db.exec("pragma journal_mode = wal");
    this.#db.exec(
      "create table windows (aggregation integer, start integer, part integer, body blob, primary key (aggregation, start, part)) without rowid",
    );
  }

  readonly load: LoadWindows = (aggregation, starts, part) => {
    const rows = this.#db.prepare("select part, body from windows where aggregation = ? and start = ? order by part");
    const found = new Map<number, Uint8Array[]>();
    for (const start of starts) {
      const wanted = rows.all(aggregation, start).filter((row) => part === undefined || row["part"] === part);
      if (wanted.length > 0)
        found.set(
          start,
          wanted.map(({ body }) => body as Uint8Array),
        );
    }
    return found;
  };

  /** Writes what changed. @returns the state to be kept beside it */
  checkpoint(machine: ShardMachine): MachineState {
    const insert = this.#db.prepare("insert or replace into windows values (?, ?, ?, ?)");
    this.#db.exec("begin");
    for (const { id, windows } of machine.aggregations.values()) {
      for (const { key, parts } of windows.takeDirty()) {
        for (const [part, body] of parts.entries()) {
          if (body === null) continue;
          insert.run(id, key, part, body);
          this.rows++;
          this.bytes += body.length;
        }
      }
    }
    this.#db.exec("commit");
    return JSON.parse(JSON.stringify(machine)) as MachineState;
  }

  remove(): void {
    this.#db.close();
    rmSync(this.#folder, { recursive: true });
  }
}

/** What 200,000 open groups cost. */
function groups(name: string, measures: Definition["measures"]): Record<string, unknown> {
  const definition: Definition = {
    name,
    window: { type: "tumbling", size: "1h" },
    group_by: ["data.customer"],
    measures,
    max_groups: GROUPS,
  };
  const plans = [{ id: 1, plan: planned(definition) }];
  const disk = new Disk();
  const start = (state?: MachineState): ShardMachine =>
    new ShardMachine(state, plans, disk.load, () => undefined, new IdMemory());
  const before = heapBytes();
  let machine = start();
  let most = 0;
  let state: MachineState | undefined;
  const list = texts(GROUPS, (k) => ({ customer: `customer-${k}`, bytes: (k * 37) % 20_000 }));
  const textBytes = heapBytes() - before;
  for (const [k, text] of list.entries()) {
    const batch = EventBatch.fromText(text);
    machine.fold(batch, machine.offer(batch, () => false).fresh);
    if (((k + 1) * BATCH) % EVENTS_PER_CHECKPOINT === 0) {
      most = Math.max(most, heapBytes() - before - textBytes);
      state = disk.checkpoint(machine);
    }
  }
  const resting = heapBytes() - before - textBytes;
  disk.rows = 0;
  disk.bytes = 0;
  const again = EventBatch.fromText(list[7] ?? "");
  machine.fold(
    again,
    Uint32Array.from({ length: GROUPS_CHANGED }, (_, k) => k),
  );
  state = disk.checkpoint(machine);
  const aggregation = machine.aggregations.get(name);
  const ids = machine.deduplicator.memory.bytes;
  const open = aggregation?.windows.sizes();
  machine = start();
  list.length = 0;
  const empty = heapBytes();
  const begun = performance.now();
  machine = start(state);
  const woken = machine.aggregations.get(name);
  const window = [...(woken?.windows.recent() ?? [])][0];
  const first = window === undefined ? [] : firstGroups(window, null, () => true, 100);
  const wakeMs = performance.now() - begun;
  const heap = heapBytes() - empty;
  const result = {
    open_groups: open?.openGroups,
    bytes_per_open_group: Math.round((open?.bytes ?? 0) / GROUPS),
    heap_while_filling_mb: Math.round(most / 1e6),
    heap_at_rest_mb: Math.round(resting / 1e6),
    of_that_ids_mb: Math.round(ids / 1e6),
    checkpoint_after_10_groups: `${disk.rows} rows, ${Math.round(disk.bytes / 1000)} kB`,
    wake_to_first_100_groups_ms: Math.round(wakeMs),
    heap_after_waking_mb: Math.round(heap / 1e6),
    answered: first.length,
  };
  disk.remove();
  return result;
}

const users = USER_AGGREGATIONS.map((definition) => definitionSchema.parse(definition));
const { perSecond, machine } = rate([...BUILT_IN_DEFINITIONS, ...users]);
const { memory } = machine.deduplicator;
const figures = {
  environment: environment("bench:state"),
  heap: "Node's, after collections: heapUsed + arrayBuffers, what was there before subtracted",
  pure_events_per_cpu_second: `${Math.round(perSecond).toLocaleString("en")} (goal ≥ 300,000): dedup, built-in and two user aggregations`,
  bytes_per_remembered_id: `${(memory.bytes / memory.size).toFixed(1)} (${memory.size.toLocaleString("en")} ids)`,
  groups_with_a_count: groups("counts", { n: { fn: "count" } }),
  groups_with_five_measures: groups("five", {
    n: { fn: "count" },
    users: { fn: "distinct", field: "user_id" },
    sum: { fn: "sum", field: "data.bytes" },
    max: { fn: "max", field: "data.bytes" },
    p95: { fn: "quantile", field: "data.bytes", q: 0.95 },
  }),
};
process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
