// The library as one minified ES module for pages without a bundler: node client/build.ts [file]
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";

/** The bundle, and the modules it was made of. */
export interface Bundle {
  readonly code: string;
  /** Of `code`, compressed as servers do it by default. */
  readonly gzipBytes: number;
  /** Absolute paths. */
  readonly modules: readonly string[];
}

/** Bundles `index.ts`; writes nothing. */
export async function bundle(): Promise<Bundle> {
  const result = await build({
    configFile: false,
    logLevel: "silent",
    publicDir: false,
    build: {
      write: false,
      target: "es2024",
      modulePreload: { polyfill: false },
      rolldownOptions: { input: join(import.meta.dirname, "index.ts"), preserveEntrySignatures: "strict" },
    },
  });
  const chunk = "output" in result ? result.output[0] : undefined;
  if (chunk === undefined) throw new Error("vite made no bundle");
  return { code: chunk.code, gzipBytes: gzipSync(chunk.code).length, modules: chunk.moduleIds };
}

if (import.meta.main) {
  const file = process.argv[2] ?? "dist/client/streamflow.js";
  const { code, gzipBytes } = await bundle();
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, code);
  process.stdout.write(`${file}: ${code.length} bytes, ${gzipBytes} as gzip\n`);
}
