import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../scripts/local/build.ts";
import { prepareState } from "../scripts/local/settings.ts";
import { launchHost } from "../scripts/local/supervise.ts";
import { Inspector } from "./inspector.ts";

/** How a benchmark wants its platform. */
export interface BenchPlatformOptions {
  /** Hold queue messages back, so that nothing is consumed. */
  readonly consumerPaused?: boolean;
  /** Count rows written, queue operations and object requests (bench/counting-worker.js). */
  readonly counting?: boolean;
  /** Open V8's inspector (bench/inspector.ts). */
  readonly inspector?: boolean;
  /** Where its state lies, and stays; a folder of its own that is removed afterwards when absent. */
  readonly state?: string;
}

/** The built Worker in workerd, on its own socket, with an empty temporary state. */
export interface BenchPlatform {
  /** Without a slash at the end. */
  readonly url: string;
  readonly key: string;
  /** A JSON answer's body; throws unless the status is 2xx. */
  json(method: string, path: string, body?: unknown): Promise<unknown>;
  /** The text of an answer. */
  text(path: string): Promise<string>;
  /** Largest resident set of workerd so far, bytes; null where the system does not tell. */
  peakMemory(): number | null;
  /** Resident set of workerd now, bytes; null where the system does not tell. */
  memory(): number | null;
  /** CPU seconds that workerd has used; null where the system does not tell. */
  cpuSeconds(): number | null;
  /** Connects to V8's inspector in the Worker's isolate. @throws Error unless the platform was started with it */
  inspect(): Promise<Inspector>;
  stop(): Promise<void>;
}

const LONG_DELAY_SECONDS = 80_000;

function secret(): string {
  return randomBytes(32).toString("base64url");
}

/** Builds what has changed and starts a platform. */
export async function startBenchPlatform(options: BenchPlatformOptions = {}): Promise<BenchPlatform> {
  const built = await build((line) => process.stderr.write(`${line}\n`));
  const state = options.state ?? mkdtempSync(join(tmpdir(), "streamflow-bench-"));
  prepareState(state);
  const key = randomBytes(24).toString("hex");
  const launch = launchHost(
    {
      host: "127.0.0.1",
      port: 0,
      state,
      ...built,
      vars: {
        STREAMFLOW_MODE: "local",
        QUEUE_EPOCH: randomUUID(),
        ADMIN_KEY: key,
        JWT_SECRET: secret(),
        ENCRYPTION_KEY: secret(),
      },
      // The log lines of a benchmark interest nobody, and printing them would be measured too.
      quiet: true,
      ...(options.consumerPaused === true ? { queueDelaySeconds: LONG_DELAY_SECONDS } : {}),
      ...(options.inspector === true ? { inspector: true } : {}),
      ...(options.counting === true ? { wrapper: join(import.meta.dirname, "counting-worker.js") } : {}),
    },
    () => undefined,
  );
  const host = await launch.host;
  const url = host.url.replace(/\/$/, "");
  const ask = async (path: string, init: RequestInit = {}): Promise<string> => {
    const response = await fetch(url + path, {
      ...init,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    });
    const text = await response.text();
    if (!response.ok)
      throw new Error(`${init.method ?? "GET"} ${path} was answered ${response.status}: ${text.slice(0, 500)}`);
    return text;
  };
  return {
    url,
    key,
    text: (path) => ask(path),
    json: async (method, path, body) =>
      JSON.parse(await ask(path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })),
    peakMemory: () => readMemory(host.workerd, "VmHWM"),
    memory: () => readMemory(host.workerd, "VmRSS"),
    cpuSeconds: () => readCpuSeconds(host.workerd),
    async inspect() {
      if (host.inspector === undefined) throw new Error("the platform was started without the inspector");
      return Inspector.connect(host.inspector, "streamflow");
    },
    async stop() {
      await host.stop();
      if (options.state === undefined) rmSync(state, { recursive: true, force: true });
    },
  };
}

/** From /proc/<pid>/status. VmHWM is the peak, kept by the kernel. */
function readMemory(pid: number, field: "VmHWM" | "VmRSS"): number | null {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readProc(pid, "status"))?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}

const CLOCK_TICKS_PER_SECOND = 100;

/** User and system time of /proc/<pid>/stat, fields 14 and 15. */
function readCpuSeconds(pid: number): number | null {
  const fields = readProc(pid, "stat")
    .replace(/^.*\) /, "")
    .split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  return Number.isFinite(ticks) ? ticks / CLOCK_TICKS_PER_SECOND : null;
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
