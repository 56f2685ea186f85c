import { resolve } from "node:path";
import { expect, test } from "vitest";
import { bundle } from "../../../client/build.ts";

const MAX_GZIP_BYTES = 6000;

test("the whole library is at most 6,000 bytes as gzip and is made of nothing but its own files", async () => {
  const { code, gzipBytes, modules } = await bundle();
  process.stdout.write(`client: ${code.length} bytes, ${gzipBytes} as gzip\n`);
  expect(gzipBytes).toBeGreaterThan(1000);
  expect(gzipBytes).toBeLessThanOrEqual(MAX_GZIP_BYTES);
  const own = [resolve("client"), resolve("core/events/uuid.ts")];
  expect(modules.filter((path) => !own.some((place) => path.startsWith(place)))).toEqual([]);
  expect(code).not.toMatch(/\bfrom\s*"|\bimport\b/);
});
