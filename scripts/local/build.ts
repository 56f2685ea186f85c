import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, SetupError, readIfPresent } from "./settings.ts";

/** The Worker's bundle and the dashboard's files, as `wrangler deploy` would upload them. */
export interface Built {
  /** Absolute path of the bundled Worker. */
  readonly script: string;
  /** Absolute path of the dashboard's directory; empty when there is no dashboard. */
  readonly assets: string;
}

interface Target {
  readonly name: string;
  /** Files and directories, relative to the root, whose change makes a build necessary. */
  readonly inputs: readonly string[];
  /** Program and arguments that build into the directory given. */
  readonly command: (out: string) => readonly string[];
}

const DASHBOARD: Target = {
  name: "dashboard",
  inputs: ["dashboard", "core", "client", "vite.config.ts", "package-lock.json"],
  command: (out) => [
    join(ROOT, "node_modules/vite/bin/vite.js"),
    "build",
    "--logLevel",
    "warn",
    "--outDir",
    out,
    "--emptyOutDir",
  ],
};

const WORKER: Target = {
  name: "worker",
  inputs: ["workers", "durable-objects", "storage", "core", "wrangler.toml", "package-lock.json"],
  command: (out) => [join(ROOT, "node_modules/wrangler/bin/wrangler.js"), "deploy", "--dry-run", "--outdir", out],
};

/**
 * Builds what has changed since the last build: `dist/dashboard` (when the dashboard has a page) and `dist/worker`.
 *
 * @param say  told what is being built
 * @throws SetupError with the tool's own output when a build fails
 */
export async function build(say: (line: string) => void): Promise<Built> {
  const assets = join(ROOT, "dist/dashboard");
  if (existsSync(join(ROOT, "dashboard/index.html"))) await buildTarget(DASHBOARD, say);
  // Wrangler refuses an assets directory that does not exist.
  mkdirSync(assets, { recursive: true });
  await buildTarget(WORKER, say);
  return { script: join(ROOT, "dist/worker/index.js"), assets };
}

async function buildTarget(target: Target, say: (line: string) => void): Promise<void> {
  const destination = join(ROOT, "dist", target.name);
  const stamp = join(ROOT, "dist", `${target.name}.inputs`);
  const inputs = fingerprint(target.inputs);
  if (existsSync(destination) && readIfPresent(stamp) === inputs) return;
  say(`Building the ${target.name}…`);
  const fresh = `${destination}.${process.pid}`;
  try {
    await run(target.name, target.command(fresh));
    replaceDirectory(destination, fresh);
    writeFileSync(stamp, inputs);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Swaps a directory in by rename, so that a running platform never sees a half-written one. */
function replaceDirectory(destination: string, fresh: string): void {
  const old = `${destination}.old.${process.pid}`;
  if (existsSync(destination)) renameSync(destination, old);
  renameSync(fresh, destination);
  rmSync(old, { recursive: true, force: true });
}

/** Path, size and time of every input file, hashed. */
function fingerprint(inputs: readonly string[]): string {
  const hash = createHash("sha256");
  const visit = (path: string): void => {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return;
    if (stats.isDirectory()) for (const name of readdirSync(path).toSorted()) visit(join(path, name));
    else hash.update(`${path}\0${stats.size}\0${stats.mtimeMs}\n`);
  };
  for (const input of inputs) visit(join(ROOT, input));
  return hash.digest("hex");
}

function run(name: string, args: readonly string[]): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, WRANGLER_SEND_METRICS: "false", NO_COLOR: "1", FORCE_COLOR: "0" },
    });
    let output = "";
    const collect = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", fail);
    child.on("close", (code, signal) => {
      if (code === 0) done();
      else fail(new SetupError(`Building the ${name} failed (${signal ?? `exit code ${code}`}):\n\n${output.trim()}`));
    });
  });
}
