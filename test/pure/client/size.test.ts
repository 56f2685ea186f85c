import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";

const MAX_GZIP_BYTES = 6000;

test("the whole library is at most 6 KB as gzip and needs nothing else", async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: ["client/index.ts"],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
    metafile: true,
  });
  const bytes = gzipSync(outputFiles[0]?.contents ?? new Uint8Array()).length;
  process.stdout.write(`client: ${outputFiles[0]?.contents.length} bytes, ${bytes} as gzip\n`);
  expect(bytes).toBeGreaterThan(1000);
  expect(bytes).toBeLessThanOrEqual(MAX_GZIP_BYTES);
  const foreign = Object.keys(metafile.inputs).filter((path) => !/^(?:client|core)\//.test(path));
  expect(foreign).toEqual([]);
});
