import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lineTranslator } from "../../../cli/ship/line-event.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { validateEvent } from "../../../core/events/validate.ts";
import { groupJson, valuesOf } from "../../../core/windows/aggregation.ts";
import { DEFINITIONS, readRequests, recount, recountKey, sourceOf } from "../../access-log-recount.ts";
import { SimulatedShard } from "./simulated-shard.ts";

const LOG = resolve(import.meta.dirname, "../../../../shared/data/apache_logs.gz");
const isPresent = existsSync(LOG);
if (!isPresent) process.stderr.write(`Skipped: the sample log is not at ${LOG}\n`);

const SEED = 20_150_517;

/** The log as `ship` sends it and ingest takes it. @param sources the lines are dealt out to so many sources by their client */
function shipped(lines: readonly string[], sources: number): StreamEvent[] {
  const translate = Array.from({ length: sources }, (_, k) => lineTranslator("combined", `web-${k}`));
  return lines.flatMap((line, index) => {
    const json = translate[sourceOf(line, sources)]?.(line) ?? null;
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
        const key = recountKey(name, start, end, groupJson(aggregation.plan, group.key));
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
