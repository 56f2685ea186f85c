import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import {
  BY_STATUS,
  HOURLY,
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
  streamflow,
} from "./sample.ts";

/** Long enough for the slowest machine; the wait ends as soon as the condition holds. */
const SETTLE = { timeout: 60_000, interval: 100 };

const shardsSchema = z.object({
  count: z.number(),
  mode: z.string(),
  moving: z.boolean(),
  objects: z.array(z.object({ object: z.number(), slots: z.number(), events_applied: z.number() })),
});

/** Runs `streamflow shards` and reads what it prints. */
async function shards(platform: Platform, ...args: string[]): Promise<z.infer<typeof shardsSchema>> {
  const { code, stdout, stderr } = await streamflow(platform, ["shards", ...args, "--json"]).done;
  if (code !== 0) throw new Error(`shards ended with ${code}: ${stderr}`);
  return shardsSchema.parse(JSON.parse(stdout));
}

const slotsOf = ({ objects }: z.infer<typeof shardsSchema>): number[] => objects.map(({ slots }) => slots);

describe.skipIf(!hasSample)("shipping a real access log while the number of shards goes from 1 to 4 to 2", () => {
  let platform: Platform;
  const expected = hasSample ? readExpected() : undefined;
  beforeAll(async () => {
    platform = await startPlatform();
    await createAggregations(platform, [BY_STATUS, HOURLY]);
  });
  afterAll(() => platform.dispose());

  test("loses no event and counts none twice", async () => {
    const shipped = ship(platform, SAMPLE_LOG, "--batch", "50");
    await expect.poll(() => readStored(platform), SETTLE).toBeGreaterThan(1_000);
    expect(await shards(platform, "4")).toMatchObject({ count: 4, mode: "manual", moving: true });
    await expect.poll(() => readStored(platform), SETTLE).toBeGreaterThan(5_000);
    expect(slotsOf(await shards(platform, "--wait"))).toEqual([0, 64, 64, 64, 64]);
    expect(slotsOf(await shards(platform, "2", "--wait"))).toEqual([0, 128, 128, 0, 0]);
    expect(await shipped).toMatchObject({ read: 10_000, accepted: 9_999, rejected: 0 });
    await expect.poll(() => readStored(platform), SETTLE).toBe(expected?.parsed);
    const { objects } = await shards(platform);
    for (const { object, events_applied } of objects) expect(events_applied, `object ${object}`).toBeGreaterThan(0);
  });

  test("gives the numbers that were counted independently", async () => {
    expect(byHourAndStatus((await readWindows(platform, BY_STATUS.name)).windows)).toEqual(expectedByHourAndStatus());
    const total = await readTotal(platform, HOURLY.name);
    expect(total["requests"]).toBe(expected?.parsed);
    expect(total["bytes"]).toBe(expected?.bytes_sum);
    expect(total["max"]).toBe(expected?.bytes_quantiles_nearest_rank["1"]);
  });

  test("stores every event exactly once, whichever way the cursor goes", async () => {
    const ids = await readEventIds(platform, "desc", 500);
    expect(ids).toHaveLength(expected?.parsed ?? 0);
    expect(new Set(ids).size).toBe(expected?.parsed);
    expect((await readEventIds(platform, "asc", 777)).toReversed()).toEqual(ids);
  });

  test("knows every event again when the file is shipped once more, also after a restart", async () => {
    await ship(platform, SAMPLE_LOG);
    await expect
      .poll(async () => (await readWindows(platform, BY_STATUS.name)).duplicate_events, SETTLE)
      .toBeGreaterThanOrEqual(9_999);
    await platform.restart();
    await ship(platform, SAMPLE_LOG);
    await expect
      .poll(async () => (await readWindows(platform, BY_STATUS.name)).duplicate_events, SETTLE)
      .toBeGreaterThanOrEqual(2 * 9_999);
    expect(await readStored(platform)).toBe(expected?.parsed);
    expect((await readTotal(platform, HOURLY.name))["requests"]).toBe(expected?.parsed);
    expect(slotsOf(await shards(platform))).toEqual([0, 128, 128, 0, 0]);
  });

  test("goes back to one shard with the same numbers", async () => {
    expect(slotsOf(await shards(platform, "1", "--wait"))).toEqual([256, 0, 0, 0, 0]);
    await ship(platform, SAMPLE_LOG);
    expect(await readStored(platform)).toBe(expected?.parsed);
    expect(new Set(await readEventIds(platform, "desc", 1000)).size).toBe(expected?.parsed);
  });
});
