import { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";
import type { MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { ROOT } from "./settings.ts";

/** What one run of the local platform is made from. JSON-able: it crosses to the host process. */
export interface RuntimeOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly state: string;
  /** Absolute path of the bundled Worker. */
  readonly script: string;
  /** Absolute path of the dashboard's files. */
  readonly assets: string;
  /** Values that replace or join the Worker's vars. */
  readonly vars: Readonly<Record<string, string>>;
  /** Holds every queue message back this long: a consumer that is paused, for benchmarks. */
  readonly queueDelaySeconds?: number;
  /** Absolute path of a JavaScript module that exports everything the Worker does and imports it as `./index.js`. */
  readonly wrapper?: string;
  /** Throws the Worker's log lines away. */
  readonly quiet?: boolean;
  /** Lets V8's inspector be reached on a free loopback port, for benchmarks: it can run any code in the Worker. */
  readonly inspector?: boolean;
}

/** The options of one Worker that this file changes; wrangler translates all others from wrangler.toml. */
interface WorkerOptions {
  readonly compatibilityDate?: string;
  readonly assets?: object;
  readonly bindings?: object;
  readonly serviceBindings?: object;
  readonly queueProducers?: Readonly<Record<string, object>>;
  readonly d1Databases?: object;
  readonly modulesRules?: undefined;
}

type V4Options = Parameters<typeof convertV4MiniflareOptions>[0];

/**
 * Miniflare's options for the built Worker on its own socket.
 *
 * Two Workers: the platform itself, whose socket is bound directly, and the dashboard's files, bound to it as ASSETS.
 * Miniflare's own entry (which parses and forwards each request) and its assets router would stand before every event
 * otherwise: parse-only Worker, 500-event bodies, 2 cores: direct 910,000 events/s, through the entry 633,000 to
 * 715,000, through the router 664,000.
 */
export function platformOptions(options: RuntimeOptions): MiniflareOptions {
  const { assets, ...config } = readWranglerOptions();
  const platform = {
    ...config,
    name: "streamflow",
    modulesRoot: dirname(options.script),
    modules: modulesOf(options),
    bindings: { ...config.bindings, ...options.vars },
    queueProducers: withDelay(config.queueProducers, options.queueDelaySeconds),
    serviceBindings: { ...config.serviceBindings, ASSETS: "streamflow-assets" },
    unsafeDirectSockets: [{ host: options.host, port: options.port }],
  };
  const dashboard = {
    ...NO_CODE,
    name: "streamflow-assets",
    compatibilityDate: config.compatibilityDate,
    assets: { ...assets, directory: options.assets, routerConfig: { has_user_worker: false } },
  };
  const quiet = options.quiet === true ? { handleStructuredLogs: () => undefined } : {};
  const inspector = options.inspector === true ? { inspectorHost: "127.0.0.1", inspectorPort: 0 } : {};
  return { ...baseOptions(options.state), ...quiet, ...inspector, workers: convert([platform, dashboard]) };
}

/** The Worker's modules, the main one first. */
function modulesOf({ script, wrapper }: RuntimeOptions): object[] {
  const worker = { type: "ESModule", path: script };
  if (wrapper === undefined) return [worker];
  const path = join(dirname(script), "wrapper.js");
  return [{ type: "ESModule", path, contents: readFileSync(wrapper, "utf8") }, worker];
}

/** Options for an instance that holds only the database: migrations run before any request or alarm can see it. */
export function databaseOptions(state: string): MiniflareOptions {
  const { d1Databases } = readWranglerOptions();
  return { ...baseOptions(state), workers: convert([{ ...NO_CODE, name: "streamflow", d1Databases }]) };
}

const NO_CODE = { modules: true, script: "export default {}" };

function readWranglerOptions(): WorkerOptions {
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(ROOT, "wrangler.toml"));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its declared type leans on a package that is not installed
  const options = workerOptions as object as WorkerOptions;
  // How the bundle was made of modules is settled by now, and Miniflare 5 refuses to be told.
  return { ...options, modulesRules: undefined };
}

/** Wrangler still speaks Miniflare 4's options. */
function convert(workers: readonly object[]): MiniflareOptions["workers"] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above; Miniflare checks the options itself
  const options = { workers } as object as V4Options;
  return convertV4MiniflareOptions(options).workers;
}

/**
 * What every instance has in common.
 *
 * @param state  where to keep state; nowhere when absent
 */
export function baseOptions(state?: string): Omit<MiniflareOptions, "workers"> {
  return {
    // Miniflare's entry listens too; nobody needs it, so it takes any free loopback port.
    host: "127.0.0.1",
    port: 0,
    // Off: it would fetch a file from the internet at every start.
    cf: false,
    enableDevRegistry: false,
    logRequests: false,
    log: new Log(LogLevel.WARN),
    // The subdirectory is wrangler's, so that `wrangler d1 execute --local --persist-to <state>` sees the same data.
    ...(state === undefined ? {} : { resourcePersistencePath: join(state, "v3") }),
  };
}

function withDelay(producers: WorkerOptions["queueProducers"] = {}, seconds: number | undefined): object {
  if (seconds === undefined) return producers;
  return Object.fromEntries(
    Object.entries(producers).map(([name, producer]) => [name, { ...producer, deliveryDelay: seconds }]),
  );
}

/** Tells of every child process this process starts: Miniflare does not say which workerd is its own. */
export function onChildStarted(listener: (child: ChildProcess) => void): void {
  subscribe("child_process", (message) => {
    const child = typeof message === "object" && message !== null && "process" in message ? message.process : undefined;
    if (child instanceof ChildProcess) listener(child);
  });
}

/** Starts Miniflare and waits until it serves. */
export async function startRuntime(options: MiniflareOptions): Promise<Miniflare> {
  const miniflare = new Miniflare(options);
  try {
    await miniflare.ready;
    return miniflare;
  } catch (error) {
    await miniflare.dispose().catch(() => undefined);
    throw error;
  }
}
