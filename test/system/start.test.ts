import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readNote } from "../../scripts/local/running.ts";
import { freePort, startPlatform, vacated } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { post } from "./sample.ts";

const ROOT = resolve(import.meta.dirname, "../..");

function start(env: Record<string, string>): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(join(ROOT, "node_modules/.bin/node"), ["scripts/start.ts"], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status, text: stdout + stderr };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("npm start", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform();
  });
  afterAll(() => platform.dispose());

  test("prints the dashboard URL and the admin key it was given", () => {
    expect(platform.output).toContain(`Dashboard  ${platform.url}/`);
    expect(platform.output).toContain(`Admin key  ${platform.adminKey}`);
  });

  test("answers alive and ready", async () => {
    expect((await platform.fetch("/health")).status).toBe(200);
    expect((await platform.fetch("/ready")).status).toBe(200);
  });

  test("accepts the admin key and refuses another one", async () => {
    expect((await platform.fetch("/api/v1/keys")).status).toBe(200);
    const refused = await platform.fetch("/api/v1/keys", { headers: { authorization: "Bearer not-the-key" } });
    expect(refused.status).toBe(401);
  });

  test("keeps the note about itself readable by its owner only", () => {
    expect(statSync(join(platform.state, "running.json")).mode & 0o777).toBe(0o600);
    expect(readNote(platform.state)).toMatchObject({
      pid: platform.pid,
      url: `${platform.url}/`,
      admin_key: platform.adminKey,
    });
  });

  test("refuses a second platform on the same state", async () => {
    const { status, text } = start({ PORT: String(await freePort()), STREAMFLOW_STATE: platform.state });
    expect(status).toBe(1);
    expect(text).toContain("already runs on this state");
    expect((await platform.fetch("/health")).status).toBe(200);
  });

  test("remembers a key over a restart", async () => {
    await post(platform, "/api/v1/keys", { name: "shop", role: "ingest" });
    await platform.restart();
    expect(await (await platform.fetch("/api/v1/keys")).text()).toContain('"shop"');
  });

  test("leaves no process and a free port when it is killed, and starts again on what it left", async () => {
    const note = readNote(platform.state);
    process.kill(platform.pid, "SIGKILL");
    await vacated(Number(new URL(platform.url).port));
    await expect
      .poll(() => [note?.host, note?.workerd].filter((pid) => isAlive(pid ?? 0)), { timeout: 10_000 })
      .toEqual([]);
    await platform.restart();
    expect((await platform.fetch("/health")).status).toBe(200);
  });

  test("takes everything with it when its workerd dies, and says so", async () => {
    const note = readNote(platform.state);
    process.kill(note?.workerd ?? 0, "SIGKILL");
    await vacated(Number(new URL(platform.url).port));
    await expect
      .poll(() => [note?.pid, note?.host].filter((pid) => isAlive(pid ?? 0)), { timeout: 10_000 })
      .toEqual([]);
    expect(platform.output).toContain("workerd ended unexpectedly");
    await platform.restart();
  });

  test("waits for the platform that is just stopping on the same state", async () => {
    const stopping = platform.stop();
    const next = await startPlatform({ port: Number(new URL(platform.url).port), state: platform.state });
    expect(await stopping).toBe(0);
    expect((await next.fetch("/health")).status).toBe(200);
    await next.dispose();
    await platform.restart();
  });

  test("stops on SIGTERM with exit code 0 and leaves nothing running", async () => {
    const note = readNote(platform.state);
    expect(await platform.stop("SIGTERM")).toBe(0);
    await vacated(Number(new URL(platform.url).port));
    expect([note?.pid, note?.host, note?.workerd].filter((pid) => isAlive(pid ?? 0))).toEqual([]);
    expect(readNote(platform.state)).toBeUndefined();
    expect(platform.output).toContain("The queue is empty.");
  });
});

test("npm, told to stop, lets the queue drain and leaves nothing running", async () => {
  const [port, state] = [await freePort(), mkdtempSync(join(tmpdir(), "streamflow-"))];
  const npm = spawn("npm", ["start"], {
    cwd: ROOT,
    env: { ...process.env, PORT: String(port), STREAMFLOW_STATE: state },
  });
  const ended = once(npm, "exit");
  let output = "";
  npm.stdout.on("data", (chunk: Buffer) => void (output += chunk.toString()));
  await expect.poll(() => output, { timeout: 60_000 }).toContain("StreamFlow is running.");
  const note = readNote(state);
  npm.kill("SIGTERM");
  await ended;
  // Some versions of npm end at once and leave the platform to finish by itself.
  await expect.poll(() => output, { timeout: 25_000 }).toContain("Stopped.");
  expect(output).toContain("The queue is empty.");
  const pids = [note?.pid, note?.host, note?.workerd];
  await expect.poll(() => pids.filter((pid) => isAlive(pid ?? 0)), { timeout: 5_000 }).toEqual([]);
  await vacated(port);
  rmSync(state, { recursive: true });
});

describe("npm start says what is wrong", () => {
  test("when the port is taken", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((listening) => server.once("listening", listening));
    const address = server.address();
    const port = typeof address === "object" ? String(address?.port) : "";
    const { status, text } = start({ PORT: port, STREAMFLOW_STATE: mkdtempSync(join(tmpdir(), "streamflow-")) });
    server.close();
    expect(status).toBe(1);
    expect(text).toContain(`Port ${port} on 127.0.0.1 is in use. Set PORT to another one.`);
  });

  test("when PORT is no port", () => {
    const { status, text } = start({ PORT: "http" });
    expect(status).toBe(1);
    expect(text).toContain('PORT must be a number from 1 to 65535, but it is "http"');
  });

  test("when the state directory is a file", async () => {
    const directory = mkdtempSync(join(tmpdir(), "streamflow-"));
    const file = join(directory, "state");
    writeFileSync(file, "not a directory");
    const { status, text } = start({ PORT: String(await freePort()), STREAMFLOW_STATE: file });
    rmSync(directory, { recursive: true });
    expect(status).toBe(1);
    expect(text).toContain(`The state directory ${file} cannot be used`);
  });

  test("when the database in the state is broken", async () => {
    const platform = await startPlatform();
    await platform.stop();
    const broken = spawnSync("sh", [
      "-c",
      `for f in $(find '${platform.state}/v3/d1' -name '*.sqlite*'); do echo broken > "$f"; done`,
    ]);
    expect(broken.status).toBe(0);
    const { status, text } = start({ PORT: String(await freePort()), STREAMFLOW_STATE: platform.state });
    await platform.dispose();
    expect(status).toBe(1);
    expect(text).toContain(platform.state);
  });
});

test("the secrets file is readable by its owner only and holds all three secrets", async () => {
  const platform = await startPlatform();
  await platform.dispose();
  const path = join(ROOT, ".dev.vars");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(path, "utf8")).toMatch(/^JWT_SECRET=\S{32,}$/m);
  expect(readFileSync(path, "utf8")).toMatch(/^ENCRYPTION_KEY=\S{32,}$/m);
});
