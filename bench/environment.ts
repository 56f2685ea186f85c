import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, loadavg, totalmem } from "node:os";

/** Where a benchmark ran, with versions and the command. @param script of package.json */
export function environment(script: string): Record<string, unknown> {
  return {
    command: `npm run ${script} -- ${process.argv.slice(2).join(" ")}`.trim(),
    date: new Date().toISOString(),
    cpu: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
    memory_gb: Math.round(totalmem() / 1e9),
    // Well above 0 before the run means that other work took part of the machine.
    load_average: loadavg().map((load) => Math.round(load * 100) / 100),
    node: process.version,
    workerd: versionOf("workerd"),
    miniflare: versionOf("miniflare"),
    wrangler: versionOf("wrangler"),
  };
}

function versionOf(name: string): string {
  const manifest: unknown = JSON.parse(
    readFileSync(createRequire(import.meta.url).resolve(`${name}/package.json`), "utf8"),
  );
  const version =
    typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : undefined;
  return typeof version === "string" ? version : "unknown";
}
