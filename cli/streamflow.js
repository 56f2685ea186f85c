#!/usr/bin/env node
// Finds a Node that runs TypeScript as it is, and hands over. The command itself begins in main.ts.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
/** From 22.18 and 24 on, Node strips types without a flag. */
const runsTypeScript = major >= 24 || (major === 22 && minor >= 18);

if (runsTypeScript) await import("./main.ts");
else {
  const node = bundledNode();
  if (node !== undefined) handOver(node);
  else {
    process.stderr.write(
      `streamflow needs Node 22.18 or newer, and this is ${process.version}. Run "npm ci" first: it brings one.\n`,
    );
    process.exitCode = 1;
  }
}

/** The Node that comes with this project's own dependencies; undefined when they are not installed. */
function bundledNode() {
  try {
    const directory = dirname(createRequire(import.meta.url).resolve("node/package.json"));
    const name = process.platform === "win32" ? "node.exe" : "node";
    const path = join(directory, "bin", name);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

function handOver(node) {
  const child = spawn(node, [fileURLToPath(new URL("main.ts", import.meta.url)), ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  // The terminal signals both processes; this one must stay until the other has finished its summary.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
  });
}
