import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../client/index.ts";
import type { ClientOptions, Trouble } from "../../client/index.ts";
import { fileStore } from "../../client/node.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { readEventIds, readStored } from "./sample.ts";

const EVENTS = 10_000;
const HELD = 2_000;
const KILLED = 1_000;
const SETTLE = { timeout: 60_000, interval: 100 };

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform.dispose());

function client(options: Partial<ClientOptions> = {}) {
  return createClient({ url: platform.url, key: platform.adminKey, ...options });
}

function events(type: string, count: number) {
  return Array.from({ length: count }, (_, n) => ({ type, source: "producer", user_id: `u${n % 50}`, data: { n } }));
}

/** Each test adds to what the ones before it stored. */
describe("a client of a real platform", () => {
  const ids: string[] = [];

  test("delivers 10,000 events once each across a restart of the platform, with room for a tenth of them", async () => {
    const troubles: Trouble[] = [];
    const producer = client({
      overflow: "BLOCK",
      maxBufferedEvents: EVENTS / 10,
      maxBatchEvents: 100,
      onTrouble: (trouble) => troubles.push(trouble),
    });
    const sent = producer.send(events("client.restart", EVENTS));
    await expect.poll(() => producer.ledger.delivered, { ...SETTLE, interval: 2 }).toBeGreaterThan(EVENTS / 10);
    const before = producer.ledger.delivered;
    await platform.restart();
    ids.push(...(await sent).filter((id) => id !== null));
    expect(await producer.flush(SETTLE.timeout)).toBe(true);
    expect(before).toBeLessThan(EVENTS);
    expect(troubles.length).toBeGreaterThan(0);
    expect(producer.ledger).toMatchObject({ offered: EVENTS, delivered: EVENTS, rejected: 0, dropped: 0, buffered: 0 });
    await expect.poll(() => readStored(platform), SETTLE).toBe(EVENTS);
    expect((await readEventIds(platform, "asc", 1000)).toSorted()).toEqual(ids.toSorted());
    await producer.close();
  });

  test("holds events while the platform is killed with SIGKILL, and delivers them when it is back", async () => {
    await platform.kill9();
    const producer = client();
    ids.push(...(await producer.send(events("client.held", HELD))).filter((id) => id !== null));
    expect(await producer.flush(1000)).toBe(false);
    expect(producer.ledger).toMatchObject({ offered: HELD, delivered: 0, dropped: 0 });
    await platform.restart();
    expect(await producer.flush(SETTLE.timeout)).toBe(true);
    await expect.poll(() => readStored(platform), SETTLE).toBe(EVENTS + HELD);
    await producer.close();
  });

  test("delivers what a producer that was killed itself had left in its directory", async () => {
    const directory = mkdtempSync(join(tmpdir(), "streamflow-producer-"));
    await platform.stop();
    const script = join(import.meta.dirname, "client-producer.ts");
    const child = spawn(process.execPath, [script, platform.url, platform.adminKey, directory, String(KILLED)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    // It has tried to send and has written down what it holds.
    await expect.poll(() => output, SETTLE).toMatch(/tracked[^]*send/);
    await expect.poll(() => readdirSync(directory).length, SETTLE).toBe(KILLED / 500);
    child.kill("SIGKILL");

    await platform.restart();
    const next = client({ store: fileStore(directory) });
    await expect.poll(() => next.ledger.restored, SETTLE).toBe(KILLED);
    expect(await next.close(SETTLE.timeout)).toMatchObject({ offered: KILLED, delivered: KILLED, buffered: 0 });
    await expect.poll(() => readStored(platform), SETTLE).toBe(EVENTS + HELD + KILLED);
    expect(readdirSync(directory)).toEqual([]);
    rmSync(directory, { recursive: true });
  });

  test("reports what the platform refuses, in the platform's words", async () => {
    const rejected: string[] = [];
    const producer = client({ onRejected: ({ reason, message }) => rejected.push(`${reason}: ${message}`) });
    await producer.send([
      { type: "client.good", source: "producer" },
      { type: "not a type", source: "producer" },
      { type: "client.good", source: "" },
    ]);
    expect(await producer.close()).toMatchObject({ offered: 3, delivered: 1, rejected: 2 });
    expect(rejected[0]).toMatch(/^invalid_type: type must be/);
    expect(rejected).toHaveLength(2);
    await expect.poll(() => readStored(platform), SETTLE).toBe(EVENTS + HELD + KILLED + 1);
  });

  test("keeps its events while its key is unknown", async () => {
    const troubles: Trouble[] = [];
    const producer = client({ key: "ing_unknown.secret", onTrouble: (trouble) => troubles.push(trouble) });
    await producer.track({ type: "client.good", source: "producer" });
    expect(await producer.flush(1000)).toBe(false);
    expect(troubles).toMatchObject([{ kind: "send", status: 401 }]);
    expect(producer.ledger).toMatchObject({ buffered: 1, rejected: 0 });
    await producer.close(0);
  });
});
