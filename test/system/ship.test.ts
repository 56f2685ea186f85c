import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import {
  BY_STATUS,
  HOURLY,
  QUICK,
  SAMPLE_LOG,
  byHourAndStatus,
  createAggregations,
  expectedByHourAndStatus,
  hasSample,
  readEventIds,
  readExpected,
  readStored,
  readTotal,
  readWindows,
  ship,
  shuffle,
  streamflow,
} from "./sample.ts";

/** Long enough for the slowest machine; the wait ends as soon as the condition holds. */
const SETTLE = { timeout: 60_000, interval: 200 };
/** What a count of distinct values may be off: three standard errors of HyperLogLog with 2^14 registers. */
const DISTINCT_BOUND = 0.025;
/** What a quantile may be off: DDSketch's promise, and as much again where two ranks are meant. */
const QUANTILE_BOUND = 0.02;

/** Everything that the log says must be there, exactly, whatever way it came. */
async function expectTheLogsNumbers(platform: Platform): Promise<void> {
  const expected = readExpected();
  await expect.poll(() => readStored(platform), SETTLE).toBe(expected.parsed);
  await expect
    .poll(async () => byHourAndStatus((await readWindows(platform, BY_STATUS.name)).windows), SETTLE)
    .toEqual(expectedByHourAndStatus());
  const hourly = await readWindows(platform, HOURLY.name);
  expect(hourly.windows).toHaveLength(Object.keys(expected.by_hour).length);
  for (const { start, values } of hourly.windows) {
    const hour = expected.by_hour[start.replace(".000Z", "Z")];
    expect(values["requests"], start).toBe(hour?.count);
    expect(relativeError(values["clients"], hour?.distinct_client_ip ?? 0), start).toBeLessThan(DISTINCT_BOUND);
  }
  const total = await readTotal(platform, HOURLY.name);
  const quantiles = expected.bytes_quantiles_nearest_rank;
  expect(total["requests"]).toBe(expected.parsed);
  expect(total["bytes"]).toBe(expected.bytes_sum);
  expect(total["max"]).toBe(quantiles["1"]);
  expect(relativeError(total["clients"], expected.distinct_client_ip)).toBeLessThan(DISTINCT_BOUND);
  expect(relativeError(total["p50"], quantiles["0.5"] ?? 0)).toBeLessThan(QUANTILE_BOUND);
  expect(relativeError(total["p95"], quantiles["0.95"] ?? 0)).toBeLessThan(QUANTILE_BOUND);
  expect(relativeError(total["p99"], quantiles["0.99"] ?? 0)).toBeLessThan(QUANTILE_BOUND);
}

function relativeError(value: unknown, exact: number): number {
  return Math.abs(Number(value) - exact) / exact;
}

async function expectEachEventOnce(platform: Platform): Promise<void> {
  const ids = await readEventIds(platform, "desc", 500);
  expect(ids).toHaveLength(readExpected().parsed);
  expect(new Set(ids).size).toBe(readExpected().parsed);
}

describe.skipIf(!hasSample)("shipping a real access log", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform();
    await createAggregations(platform, [BY_STATUS, HOURLY, QUICK]);
  });
  afterAll(() => platform.dispose());

  test("accepts every line that parses and reports the one that does not", async () => {
    const { read, accepted, rejected, unparsed } = await ship(platform, SAMPLE_LOG);
    expect({ read, accepted, rejected, unparsed }).toEqual({
      read: 10_000,
      accepted: 9_999,
      rejected: 0,
      unparsed: [8_899],
    });
  });

  test("gives the numbers that were counted independently", async () => {
    await expectTheLogsNumbers(platform);
  });

  test("finds no event late: 60 s of disorder are within what was declared", async () => {
    const { late_events, duplicate_events, filter_errors } = await readWindows(platform, BY_STATUS.name);
    expect({ late_events, duplicate_events, filter_errors }).toEqual({
      late_events: 0,
      duplicate_events: 0,
      filter_errors: 0,
    });
  });

  test("stores every event exactly once, whichever way the cursor goes", async () => {
    await expectEachEventOnce(platform);
    const [ascending, descending] = [
      await readEventIds(platform, "asc", 777),
      await readEventIds(platform, "desc", 1000),
    ];
    expect(ascending.toReversed()).toEqual(descending);
  });

  test("changes nothing when the file is shipped again", async () => {
    expect(await ship(platform, SAMPLE_LOG)).toMatchObject({ accepted: 9_999, rejected: 0 });
    await expect.poll(async () => (await readWindows(platform, BY_STATUS.name)).duplicate_events, SETTLE).toBe(9_999);
    await expectTheLogsNumbers(platform);
    await expectEachEventOnce(platform);
  });

  test("changes nothing when it is shipped again after the windows have closed", async () => {
    const isClosed = async (): Promise<boolean> =>
      (await readWindows(platform, QUICK.name)).windows.every(({ status }) => status === "closed");
    await expect.poll(isClosed, SETTLE).toBe(true);
    const before = await readWindows(platform, QUICK.name);
    await ship(platform, SAMPLE_LOG);
    await expect.poll(async () => (await readWindows(platform, QUICK.name)).duplicate_events, SETTLE).toBe(2 * 9_999);
    expect((await readWindows(platform, QUICK.name)).windows).toEqual(before.windows);
    expect(byHourAndStatus(before.windows)).toEqual(
      byHourAndStatus((await readWindows(platform, BY_STATUS.name)).windows),
    );
    await expectTheLogsNumbers(platform);
    await expectEachEventOnce(platform);
  });

  test("has the same numbers after a restart", async () => {
    await platform.restart();
    await expectTheLogsNumbers(platform);
    await expectEachEventOnce(platform);
  });
});

describe.skipIf(!hasSample)("when the whole platform is killed in mid-ship", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform();
    await createAggregations(platform, [BY_STATUS, HOURLY]);
  });
  afterAll(() => platform.dispose());

  test("shipping again after a restart gives the log's numbers", async () => {
    const first = streamflow(platform, ["ship", SAMPLE_LOG, "--source", "semicomplete", "--batch", "20"]);
    await expect.poll(() => readStored(platform), { ...SETTLE, interval: 20 }).toBeGreaterThan(1_000);
    await platform.kill9();
    first.child.kill("SIGKILL");
    await first.done;
    await platform.restart();
    expect(await readStored(platform)).toBeLessThan(9_999);
    await ship(platform, SAMPLE_LOG);
    await expectTheLogsNumbers(platform);
    await expectEachEventOnce(platform);
  });
});

describe.skipIf(!hasSample)("a log whose lines are shuffled", () => {
  let platform: Platform;
  const directory = mkdtempSync(join(tmpdir(), "streamflow-shuffled-"));
  const file = join(directory, "access.log");
  beforeAll(async () => {
    platform = await startPlatform();
    await createAggregations(platform, [BY_STATUS, HOURLY]);
    const lines = gunzipSync(readFileSync(SAMPLE_LOG)).toString("utf8").trimEnd().split("\n");
    writeFileSync(file, `${shuffle(lines, "shuffled log").join("\n")}\n`);
  });
  afterAll(async () => {
    await platform.dispose();
    rmSync(directory, { recursive: true });
  });

  test("gives the same numbers, late events merged into their windows", async () => {
    expect(await ship(platform, file)).toMatchObject({ accepted: 9_999, rejected: 0 });
    await expectTheLogsNumbers(platform);
    await expectEachEventOnce(platform);
    expect((await readWindows(platform, BY_STATUS.name)).late_events).toBeGreaterThan(9_000);
  });

  test("holds the same events as the log in order: shipping that adds none", async () => {
    await ship(platform, SAMPLE_LOG);
    await expect.poll(async () => (await readWindows(platform, BY_STATUS.name)).duplicate_events, SETTLE).toBe(9_999);
    await expectTheLogsNumbers(platform);
    await expectEachEventOnce(platform);
  });
});
