import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createGenerator } from "../../cli/load/generator.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { SAMPLE_LOG, hasSample, readEventIds, readExpected, readStored, streamflow } from "./sample.ts";

const SETTLE = { timeout: 60_000, interval: 200 };
const answerSchema = z.object({ data: z.object({ event_ids: z.array(z.string()) }) });

/** What a producer saw. */
interface Sent {
  /** Ids of events in requests that were answered 200. */
  readonly acknowledged: string[];
  /** Every other status, and `no answer`. */
  readonly refusals: (number | "no answer")[];
}

/** Posts batches of 50 as fast as they are answered, until a request gets no answer. */
async function postUntilItIsGone(platform: Platform, producer: string, seen: Sent): Promise<void> {
  const generate = createGenerator(producer, 100);
  for (;;) {
    const events = Array.from({ length: 50 }, () => generate(Date.now()));
    const headers = { "content-type": "application/json" };
    try {
      const response = await platform.fetch("/events/batch", {
        method: "POST",
        headers,
        body: JSON.stringify({ events }),
      });
      const text = await response.text();
      if (response.status === 200) seen.acknowledged.push(...answerSchema.parse(JSON.parse(text)).data.event_ids);
      else seen.refusals.push(response.status);
    } catch {
      seen.refusals.push("no answer");
      return;
    }
  }
}

describe.each(["SIGTERM", "SIGINT"] as const)("on %s while events come in", (signal) => {
  let platform: Platform;
  const seen: Sent = { acknowledged: [], refusals: [] };
  beforeAll(async () => {
    platform = await startPlatform();
  });
  afterAll(() => platform.dispose());

  test("refuses new events with 503, drains the queue and ends with exit code 0", async () => {
    const producers = ["producer 1", "producer 2", "producer 3", "producer 4"];
    const posting = Promise.all(producers.map((producer) => postUntilItIsGone(platform, producer, seen)));
    await expect.poll(() => seen.acknowledged.length, { timeout: 30_000, interval: 10 }).toBeGreaterThan(2_000);
    expect(await platform.stop(signal)).toBe(0);
    await posting;
    expect(new Set(seen.refusals)).toEqual(new Set([503, "no answer"]));
    expect(platform.output).toContain("The queue is empty.");
  });

  test("keeps every event that was answered 200, once", async () => {
    await platform.restart();
    await expect.poll(() => readStored(platform), SETTLE).toBe(seen.acknowledged.length);
    expect((await readEventIds(platform, "asc", 1000)).toSorted()).toEqual(seen.acknowledged.toSorted());
  });
});

describe.skipIf(!hasSample)("a shipment during a restart", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform();
  });
  afterAll(() => platform.dispose());

  test("waits for the platform to come back and loses nothing", async () => {
    const run = streamflow(platform, ["ship", SAMPLE_LOG, "--source", "semicomplete", "--batch", "20", "--json"]);
    await expect.poll(() => readStored(platform), { ...SETTLE, interval: 20 }).toBeGreaterThan(1_000);
    await platform.restart();
    const { code, stdout, stderr } = await run.done;
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ accepted: readExpected().parsed, rejected: 0, unparsed: [8_899] });
    expect(stderr).toMatch(/Trying again in/);
    await expect.poll(() => readStored(platform), SETTLE).toBe(readExpected().parsed);
  });
});
