import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { readNote } from "../../scripts/local/running.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const START_LIMIT_MS = 60_000;

/** How a test wants its platform. */
export interface PlatformOptions {
  /** A free port when absent. */
  readonly port?: number;
  /** A temporary directory, removed by `dispose`, when absent. */
  readonly state?: string;
  /** Joined to the environment of `npm start`. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A whole local platform, started the way a user starts it: `node scripts/start.ts`. */
export interface Platform {
  /** Without a slash at the end, e.g. `http://127.0.0.1:41234`. */
  readonly url: string;
  readonly adminKey: string;
  /** Where its state lies. */
  readonly state: string;
  /** Process id of the start script that runs now. */
  readonly pid: number;
  /** Everything the start script has printed since the last (re)start. */
  readonly output: string;
  /** Sends a signal (SIGTERM by default) to the start script and waits for its exit; returns the exit code, null when it was killed. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** Kills every process of the platform at once, as a power cut would, and waits until they are gone. */
  kill9(): Promise<void>;
  /** Starts it again on the same port and state; stops it first if it runs. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
  /** A request with the admin key; `path` begins with a slash. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Stops it if it runs and removes a temporary state. Call it in afterAll. */
  dispose(): Promise<void>;
}

interface Run {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  output: string;
}

/** Starts a platform and waits until it serves. */
export async function startPlatform(options: PlatformOptions = {}): Promise<Platform> {
  const state = options.state ?? mkdtempSync(join(tmpdir(), "streamflow-"));
  const port = options.port ?? (await freePort());
  const adminKey = options.env?.["ADMIN_KEY"] ?? "system-test-admin-key-0123456789abcdef";
  const env = { ADMIN_KEY: adminKey, PORT: String(port), STREAMFLOW_STATE: state, ...options.env };
  const url = `http://127.0.0.1:${port}`;
  let run = await launch(env, url);

  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> => {
    run.child.kill(signal);
    return run.exit;
  };
  return {
    url,
    adminKey,
    state,
    get pid() {
      return run.child.pid ?? 0;
    },
    get output() {
      return run.output;
    },
    stop,
    async kill9() {
      const note = readNote(state);
      for (const pid of [run.child.pid, note?.host, note?.workerd]) if (pid !== undefined && pid > 0) kill(pid);
      await run.exit;
      await vacated(port);
    },
    async restart(more = {}) {
      await stop();
      run = await launch({ ...env, ...more }, url);
    },
    fetch: (path, init = {}) => {
      const headers = new Headers(init.headers);
      if (!headers.has("authorization")) headers.set("authorization", `Bearer ${adminKey}`);
      return fetch(url + path, { ...init, headers });
    },
    async dispose() {
      await stop();
      if (options.state === undefined) rmSync(state, { recursive: true, force: true });
    },
  };
}

async function launch(env: Record<string, string>, url: string): Promise<Run> {
  const child = spawn(join(ROOT, "node_modules/.bin/node"), ["scripts/start.ts"], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const run: Run = {
    child,
    exit: once(child, "exit").then(([code]) => (typeof code === "number" ? code : null)),
    output: "",
  };
  const collect = (chunk: Buffer): void => void (run.output += chunk.toString());
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const deadline = performance.now() + START_LIMIT_MS;
  while (performance.now() < deadline && child.exitCode === null && child.signalCode === null) {
    if (run.output.includes("StreamFlow is running.") && (await answers(url))) return run;
    await wait(50);
  }
  child.kill("SIGTERM");
  throw new Error(`the platform did not start:\n${run.output}`);
}

async function answers(url: string): Promise<boolean> {
  return fetch(`${url}/health`).then(
    async (response) => {
      await response.body?.cancel();
      return true;
    },
    () => false,
  );
}

/** A TCP port of the loopback address that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  server.close();
  await once(server, "close");
  return address.port;
}

/** Resolves when nothing listens on the port any more. */
export async function vacated(port: number): Promise<void> {
  for (;;) {
    const server = createServer();
    const free = await new Promise<boolean>((done) => {
      server.once("error", () => done(false));
      server.listen(port, "127.0.0.1", () => done(true));
    });
    server.close();
    if (free) return;
    await wait(20);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}
