import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { lineTranslator } from "../../../cli/ship/line-event.ts";
import type { Line } from "../../../cli/ship/lines.ts";
import { openLog, readLines } from "../../../cli/ship/lines.ts";

const DATA = resolve(import.meta.dirname, "../../../../shared/data");
const LOG = resolve(DATA, "apache_logs.gz");
const isPresent = existsSync(LOG);
if (!isPresent) process.stderr.write(`Skipped: the sample log is not at ${LOG}\n`);

function count(values: readonly unknown[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[String(value)] = (counts[String(value)] ?? 0) + 1;
  return counts;
}

describe.skipIf(!isPresent)("the sample access log", async () => {
  const toEvent = lineTranslator("combined", "semicomplete");
  const expected = isPresent ? JSON.parse(readFileSync(resolve(DATA, "apache_logs.expected.json"), "utf8")) : {};
  const lines: Line[] = [];
  if (isPresent) for await (const some of readLines(openLog(LOG, () => undefined))) lines.push(...some);
  const translated = lines.map(({ number, text }) => ({ number, event: text === null ? null : toEvent(text) }));
  const events = translated.flatMap(({ event }) => (event === null ? [] : [JSON.parse(event)]));

  test("has the lines that parse, and reports the one that is cut off", () => {
    expect(lines).toHaveLength(expected.lines);
    expect(events).toHaveLength(expected.parsed);
    expect(translated.filter(({ event }) => event === null).map(({ number }) => number)).toEqual(
      expected.unparsed_lines,
    );
  });

  test("has the status codes, methods, clients and bytes counted independently", () => {
    expect(count(events.map(({ data }) => data.status))).toEqual(expected.by_status);
    expect(count(events.map(({ data }) => data.method))).toEqual(expected.by_method);
    expect(new Set(events.map(({ data }) => data.client_ip)).size).toBe(expected.distinct_client_ip);
    expect(events.reduce((sum, { data }) => sum + data.bytes, 0)).toBe(expected.bytes_sum);
  });

  test("has the paths counted independently", () => {
    const paths = count(events.map(({ data }) => data.path));
    for (const [path, requests] of expected.top_paths) expect(paths[path], path).toBe(requests);
  });

  test("has the requests of each hour", () => {
    const hours = count(events.map(({ timestamp }) => `${new Date(timestamp).toISOString().slice(0, 13)}:00:00Z`));
    const wanted = Object.entries<{ count: number }>(expected.by_hour).map(([hour, { count: requests }]) => [
      hour,
      requests,
    ]);
    expect(hours).toEqual(Object.fromEntries(wanted));
  });

  test("has an id of its own for every event, although 19 lines repeat", () => {
    const texts = lines.filter(({ text }) => text !== null && toEvent(text) !== null).map(({ text }) => text);
    expect(texts.length - new Set(texts).size).toBe(19);
    expect(new Set(events.map(({ id }) => id)).size).toBe(expected.parsed);
  });
});
