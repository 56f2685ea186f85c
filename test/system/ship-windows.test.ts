import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEFINITIONS, readRequests, recount, recountKey, sourceOf } from "../access-log-recount.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { SAMPLE_LOG, createAggregations, hasSample, readStored, readWindows, ship, shuffle } from "./sample.ts";

const SETTLE = { timeout: 60_000, interval: 300 };
const SOURCES = 3;

async function found(platform: Platform): Promise<Map<string, [number, number]>> {
  const all = new Map<string, [number, number]>();
  for (const { name } of DEFINITIONS) {
    for (const { start, end, group, values } of (await readWindows(platform, name)).windows)
      all.set(recountKey(name, Date.parse(start), Date.parse(end), group), [
        Number(values["requests"]),
        Number(values["bytes"]),
      ]);
  }
  return all;
}

describe.skipIf(!hasSample)("the log shipped shuffled and doubled, as three sources", () => {
  let platform: Platform;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "streamflow-log-"));
    platform = await startPlatform();
    await createAggregations(platform, DEFINITIONS);
  });
  afterAll(async () => {
    await platform.dispose();
    rmSync(folder, { recursive: true });
  });

  test("gives what a recount gives, in windows of 1 minute, of 1 hour, hopping and in sessions", async () => {
    const lines = gunzipSync(readFileSync(SAMPLE_LOG))
      .toString()
      .split("\n")
      .filter((line) => line !== "");
    const files = Array.from({ length: SOURCES }, (_, source) => {
      const file = join(folder, `web-${source}.log`);
      writeFileSync(
        file,
        shuffle(
          lines.filter((line) => sourceOf(line, SOURCES) === source),
          `source ${source}`,
        ).join("\n"),
      );
      return [file, `web-${source}`] as const;
    });
    const shipAll = (): Promise<unknown> =>
      Promise.all(files.map(([file, source]) => ship(platform, file, "--source", source, "--batch", "250")));
    await shipAll();
    await shipAll();
    await expect.poll(() => readStored(platform), SETTLE).toBe(9_999);
    const expected = recount(readRequests(lines));
    await expect.poll(async () => (await found(platform)).size, SETTLE).toBe(expected.size);
    expect(await found(platform)).toEqual(expected);
  });
});
