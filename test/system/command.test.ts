import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { readStored, streamflow } from "./sample.ts";

const LINE = '203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 12 "-" "-"\n';

describe("the streamflow command", () => {
  let platform: Platform;
  const directory = mkdtempSync(join(tmpdir(), "streamflow-command-"));
  beforeAll(async () => {
    platform = await startPlatform();
  });
  afterAll(async () => {
    await platform.dispose();
    rmSync(directory, { recursive: true });
  });
  const run = (...args: string[]) => streamflow(platform, args).done;
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };

  test("sends an event and prints its id", async () => {
    const { code, stdout } = await run(
      "send",
      "--type",
      "order.placed",
      "--source",
      "till",
      "--id",
      "order-1",
      "--data",
      '{"total":3}',
    );
    expect([code, stdout]).toEqual([0, "order-1\n"]);
    await expect.poll(async () => (await platform.fetch("/events/order-1")).status).toBe(200);
  });

  test("says why an event was refused, with exit code 1", async () => {
    const { code, stderr } = await run("send", '{"type":"not a type","source":"till"}');
    expect(code).toBe(1);
    expect(stderr).toContain("invalid_type");
  });

  test("tails events as they arrive", async () => {
    const tail = streamflow(platform, ["tail", "--lines", "0", "--type", "tail.wanted", "--json"]);
    let seen = "";
    tail.child.stdout?.on("data", (chunk: Buffer) => void (seen += chunk.toString()));
    const send = async (): Promise<string> => {
      await run("send", "--type", "tail.other", "--source", "till");
      await run("send", "--type", "tail.wanted", "--source", "till");
      return seen;
    };
    await expect.poll(send, { timeout: 30_000 }).toContain('"tail.wanted"');
    tail.child.kill("SIGINT");
    expect((await tail.done).code).toBe(0);
    expect(seen).not.toContain("tail.other");
  });

  test("tail ends with a message when the key is refused", async () => {
    const stranger = streamflow(platform, ["tail", "--key", "wrong"]);
    const { code, stderr } = await stranger.done;
    expect(code).toBe(1);
    expect(stderr).toContain("did not accept the key");
  });

  test("makes a key, lists it and revokes it", async () => {
    const made = await run("keys", "create", "--name", "shop", "--role", "ingest", "--json");
    const { id, key } = JSON.parse(made.stdout);
    const asShop = { headers: { authorization: `Bearer ${key}` } };
    expect((await platform.fetch("/api/v1/me", asShop)).status).toBe(200);
    expect((await run("keys", "list")).stdout).toMatch(new RegExp(`^${id}\\s+shop\\s+ingest`, "m"));
    expect((await run("keys", "revoke", id)).code).toBe(0);
    expect((await platform.fetch("/api/v1/me", asShop)).status).toBe(401);
  });

  test("finds no dead letters where there are none", async () => {
    expect(JSON.parse((await run("dead-letters", "list", "--json")).stdout)).toMatchObject({ dead_letters: [] });
    expect((await run("dead-letters", "replay")).stdout).toBe("0 letters with 0 events replayed, 0 letters remain.\n");
  });

  test("loads the platform with as many events as asked for", async () => {
    const before = await readStored(platform);
    const { code, stdout } = await run("load", "--events", "2050", "--batch", "100", "--rate", "100000", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ offered: 2_050, accepted: 2_050, rejected: 0, failed: 0, requests: 21 });
    await expect.poll(() => readStored(platform)).toBe(before + 2_050);
  });

  test("does not load a platform that is somewhere else", async () => {
    const { code, stderr } = await run("load", "--url", "https://events.example.com", "--key", "k");
    expect(code).toBe(1);
    expect(stderr).toContain("--i-own-this-target");
  });

  test("ships nothing of a file in another format, with exit code 1", async () => {
    const { code, stdout } = await run("ship", file("common.log", LINE), "--format", "common", "--json");
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ read: 1, accepted: 0, unparsed: [1] });
  });

  test("names the line of an event that the platform refused, and ships the others", async () => {
    const lines = ['{"type":"a","source":"s"}', '{"type":"not a type","source":"s"}', "", '{"type":"b","source":"s"}'];
    const { code, stdout, stderr } = await run(
      "ship",
      file("events.ndjson", lines.join("\n")),
      "--format",
      "ndjson",
      "--json",
    );
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ read: 3, accepted: 2, rejected: 1, unparsed: [] });
    expect(stderr).toContain("line 2: rejected, invalid_type");
  });

  test.each([
    [["ship"], "Give one file to ship."],
    [["ship", "no-such-file"], "There is no file no-such-file."],
    [["load", "--rate", "0"], "--rate must be a whole number from 1 to"],
    [["nonsense"], 'There is no command "nonsense".'],
    [["tail", "--nonsense"], "--nonsense"],
  ])("complains about %j", async (args, message) => {
    const { code, stderr } = await run(...args);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(message);
  });
});
