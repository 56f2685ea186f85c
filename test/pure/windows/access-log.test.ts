import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lineTranslator } from "../../../cli/ship/line-event.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { validateEvent } from "../../../core/events/validate.ts";
import { groupJson, valuesOf } from "../../../core/windows/aggregation.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { SimulatedShard } from "./simulated-shard.ts";

const LOG = resolve(import.meta.dirname, "../../../../shared/data/apache_logs.gz");
const isPresent = existsSync(LOG);
if (!isPresent) process.stderr.write(`Skipped: the sample log is not at ${LOG}\n`);

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SEED = 20_150_517;
const measures = { requests: { fn: "count" }, bytes: { fn: "sum", field: "data.bytes" } } as const;
const DEFINITIONS: readonly Definition[] = [
  { name: "minutes", window: { type: "tumbling", size: "1m" }, measures },
  { name: "hours", window: { type: "tumbling", size: "1h" }, group_by: ["data.status"], measures },
  { name: "hopping", window: { type: "hopping", size: "1h", slide: "5m" }, measures },
  { name: "visits", window: { type: "session", gap: "30m" }, group_by: ["data.client_ip"], measures },
];

interface Request {
  readonly at: number;
  readonly ip: string;
  readonly status: number;
  readonly bytes: number;
}

/** The log read again, by nothing that the product has. */
function readRequests(lines: readonly string[]): Request[] {
  return lines.flatMap((line) => {
    const fields = /^(\S+) .*?\[(\d+)\/May\/2015:([\d:]+) \+0000\] ".*?(?<!\\)" (\d+) (\d+|-) ".*"$/.exec(line);
    if (fields === null) return [];
    const [, ip = "", day = "", time = "", status, bytes] = fields;
    const at = Date.parse(`2015-05-${day.padStart(2, "0")}T${time}Z`);
    return [{ at, ip, status: Number(status), bytes: bytes === "-" ? 0 : Number(bytes) }];
  });
}

/** Requests and bytes by aggregation, start, end and group. */
function recount(requests: readonly Request[]): Map<string, [requests: number, bytes: number]> {
  const counted = new Map<string, [number, number]>();
  const add = (name: string, start: number, end: number, group: unknown, { bytes }: Request): void => {
    const key = `${name} ${start} ${end} ${JSON.stringify(group)}`;
    const [before, bytesBefore] = counted.get(key) ?? [0, 0];
    counted.set(key, [before + 1, bytesBefore + bytes]);
  };
  for (const request of requests) {
    const { at, status } = request;
    add("minutes", at - (at % MINUTE), at - (at % MINUTE) + MINUTE, {}, request);
    add("hours", at - (at % HOUR), at - (at % HOUR) + HOUR, { "data.status": status }, request);
    for (let start = at - (at % (5 * MINUTE)); start > at - HOUR; start -= 5 * MINUTE)
      add("hopping", start, start + HOUR, {}, request);
  }
  for (const [ip, ofClient] of Map.groupBy(requests, (request) => request.ip)) {
    let visit: Request[] = [];
    const end = (): void => {
      const [from, to] = [visit[0]?.at ?? 0, (visit.at(-1)?.at ?? 0) + 30 * MINUTE];
      for (const request of visit) add("visits", from, to, { "data.client_ip": ip }, request);
      visit = [];
    };
    for (const request of ofClient.toSorted((a, b) => a.at - b.at)) {
      if (request.at - (visit.at(-1)?.at ?? request.at) >= 30 * MINUTE) end();
      visit.push(request);
    }
    end();
  }
  return counted;
}

/** The log as `ship` sends it and ingest takes it. @param sources the lines are dealt out to so many sources by their client */
function shipped(lines: readonly string[], sources: number): StreamEvent[] {
  const translate = Array.from({ length: sources }, (_, k) => lineTranslator("combined", `web-${k}`));
  return lines.flatMap((line, index) => {
    const json = translate[(line.codePointAt(2) ?? 0) % sources]?.(line) ?? null;
    if (json === null) return [];
    const receivedAt = Date.parse("2015-05-21T00:00:00Z") + index;
    const validated = validateEvent(JSON.parse(json), { index, receivedAt, newId: () => `none-${index}` });
    return validated.ok ? [validated.event] : [];
  });
}

/** Ships in batches of 250, with look-ups, checkpoints and crashes in between. */
function ship(events: readonly StreamEvent[]): SimulatedShard {
  const shard = new SimulatedShard(DEFINITIONS);
  for (let from = 0; from < events.length; from += 250) {
    shard.offer(events.slice(from, from + 250));
    if (from % 3000 === 0) shard.checkpoint();
    if (from % 5000 === 0) shard.crash();
    if (from % 2000 === 0) shard.resolve();
  }
  shard.resolve();
  return shard;
}

function results(shard: SimulatedShard): Map<string, [number, number]> {
  const found = new Map<string, [number, number]>();
  for (const [name, aggregation] of shard.machine.aggregations) {
    for (const { start, end, groups } of shard.list(aggregation)) {
      for (const group of groups.values()) {
        const { requests, bytes } = valuesOf(aggregation.plan, group, end - start);
        const key = `${name} ${start} ${end} ${JSON.stringify(groupJson(aggregation.plan, group.key))}`;
        found.set(key, [Number(requests), Number(bytes)]);
      }
    }
  }
  return found;
}

function shuffled<Item>(items: readonly Item[]): Item[] {
  const [order] = fc.sample(fc.shuffledSubarray([...items], { minLength: items.length }), { numRuns: 1, seed: SEED });
  return order ?? [];
}

describe.skipIf(!isPresent)(`the access log, shuffled by seed ${SEED}`, () => {
  const lines = isPresent
    ? gunzipSync(readFileSync(LOG))
        .toString()
        .split("\n")
        .filter((line) => line !== "")
    : [];
  const expected = recount(readRequests(lines));

  test.each<[string, (list: readonly string[]) => StreamEvent[]]>([
    ["in order", (list) => shipped(list, 1)],
    ["shuffled", (list) => shuffled(shipped(list, 1))],
    ["shuffled and doubled, from three sources", (list) => shuffled([...shipped(list, 3), ...shipped(list, 3)])],
  ])("%s gives what a recount gives, in windows of every kind", (_, arrange) => {
    const shard = ship(arrange(lines));
    expect(shard.stored).toHaveLength(9999);
    expect(results(shard)).toEqual(expected);
  });
});
