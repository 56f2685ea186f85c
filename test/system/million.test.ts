import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseLogTime } from "../../cli/ship/access-log.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import {
  BY_STATUS,
  SAMPLE_LOG,
  byHourAndStatus,
  createAggregations,
  hasSample,
  readExpected,
  readStored,
  readWindows,
  streamflow,
} from "./sample.ts";

const COPIES = 100;
/** The log spans a little more than three days. */
const SHIFT_MS = 4 * 24 * 3_600_000;
const SETTLE = { timeout: 600_000, interval: 1_000 };

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function logTime(ms: number): string {
  const [date = "", time = ""] = new Date(ms).toISOString().slice(0, 19).split("T");
  const [year, month, day] = date.split("-");
  return `${day}/${MONTHS[Number(month) - 1]}/${year}:${time} +0000`;
}

/** The log, `COPIES` times, each copy four days after the one before. */
function* shiftedLog(): Generator<string> {
  const lines = gunzipSync(readFileSync(SAMPLE_LOG)).toString("utf8").trimEnd().split("\n");
  for (let copy = 0; copy < COPIES; copy++) {
    yield lines
      .map((line) =>
        line.replace(/\[([^\]]+)\]/, (_, time: string) => `[${logTime((parseLogTime(time) ?? 0) + copy * SHIFT_MS)}]`),
      )
      .join("\n")
      .concat("\n");
  }
}

function expectedByHour(): Record<string, Record<string, number>> {
  const hours = Object.entries(readExpected().by_hour);
  const shifted = Array.from({ length: COPIES }, (_, copy) =>
    hours.map(([hour, { by_status }]) => [
      new Date(Date.parse(hour) + copy * SHIFT_MS).toISOString().replace(".000Z", "Z"),
      by_status,
    ]),
  );
  return Object.fromEntries(shifted.flat());
}

describe.skipIf(!hasSample)("a million events, made from the log by shifting its time", { timeout: 1_200_000 }, () => {
  let platform: Platform;
  const shipAll = async (): Promise<unknown> => {
    const args = ["ship", "-", "--source", "semicomplete", "--json", "--batch", "1000", "--concurrency", "2"];
    const { code, stdout, stderr } = await streamflow(platform, args, Readable.from(shiftedLog())).done;
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout);
  };
  beforeAll(async () => {
    platform = await startPlatform();
    await createAggregations(platform, [BY_STATUS]);
  });
  afterAll(() => platform.dispose());

  test("are counted exactly, hour by hour", async () => {
    expect(await shipAll()).toMatchObject({ read: 10_000 * COPIES, accepted: 9_999 * COPIES, rejected: 0 });
    await expect.poll(() => readStored(platform), SETTLE).toBe(9_999 * COPIES);
    expect(byHourAndStatus((await readWindows(platform, BY_STATUS.name)).windows)).toEqual(expectedByHour());
  });

  test("change nothing when they come again", async () => {
    await shipAll();
    const duplicates = async (): Promise<number> => (await readWindows(platform, BY_STATUS.name)).duplicate_events;
    await expect.poll(duplicates, SETTLE).toBe(9_999 * COPIES);
    expect(await readStored(platform)).toBe(9_999 * COPIES);
    expect(byHourAndStatus((await readWindows(platform, BY_STATUS.name)).windows)).toEqual(expectedByHour());
  });
});
