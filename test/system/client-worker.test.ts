import { Miniflare } from "miniflare";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundle } from "../../client/build.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { readStored } from "./sample.ts";

let platform: Platform;
let worker: Miniflare;

beforeAll(async () => {
  platform = await startPlatform();
  const { code } = await bundle();
  const modules = { "index.js": esModule(SCRIPT), "streamflow.js": esModule(code) };
  const manifest = { mainModule: "index.js", modulesRoot: "/", modules };
  worker = new Miniflare({
    workers: [{ config: { name: "producer", compatibilityDate: "2026-11-01", manifest }, dev: {} }],
  });
});
afterAll(async () => {
  await worker?.dispose();
  await platform?.dispose();
});

/** A Worker that answers first and delivers afterwards, as one does. */
const SCRIPT = `
import { createClient } from "./streamflow.js";
export default {
  async fetch(request, env, context) {
    const client = createClient(await request.json());
    for (let n = 0; n < 300; n++) void client.track({ type: "worker.event", source: "worker", data: { n } });
    context.waitUntil(client.close());
    return Response.json(client.ledger);
  },
};`;

function esModule(contents: string): { type: "esm"; contents: string } {
  return { type: "esm", contents };
}

test("a Worker delivers after its answer, by waitUntil", async () => {
  const body = JSON.stringify({ url: platform.url, key: platform.adminKey });
  const answer = await worker.dispatchFetch("http://worker.test/", { method: "POST", body });
  expect(await answer.json()).toMatchObject({ offered: 300, buffered: 300, delivered: 0 });
  await expect.poll(() => readStored(platform), { timeout: 30_000, interval: 50 }).toBe(300);
});
