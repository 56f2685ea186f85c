import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundle } from "../../client/build.ts";
import { launchBrowser, openPage } from "./browser.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { readEventIds, readStored } from "./sample.ts";

const SETTLE = { timeout: 30_000, interval: 50 };
/** What the browser itself writes when a server is away; script cannot prevent it. */
const OUTAGE = /net::ERR_/;

let platform: Platform;
let browser: Browser;
let site: Server;
let siteUrl: string;

beforeAll(async () => {
  platform = await startPlatform();
  browser = await launchBrowser();
  site = await serveSite();
  const address = site.address();
  siteUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
});
afterAll(async () => {
  await browser?.close();
  site?.close();
  await platform?.dispose();
});

/** What the site's page does: it has the client as `client`, and `track(count, type)`. */
const SCRIPT = `
import { createClient, localStorageStore } from "/streamflow.js";
const { keep, ...options } = JSON.parse(document.documentElement.dataset.options);
const client = createClient({ ...options, maxWaitMs: 600000, ...(keep && { store: localStorageStore() }) });
Object.assign(globalThis, { client, track: (count, type) => {
  for (let n = 0; n < count; n++) void client.track({ type, source: "page", data: { n, page: location.href } });
} });`;

/** A site of another origin than the platform. */
async function serveSite(): Promise<Server> {
  const { code } = await bundle();
  const server = createServer((request, response) => {
    const isScript = request.url === "/streamflow.js";
    const options = JSON.stringify({ url: platform.url, key: platform.adminKey, keep: request.url === "/keep" });
    const page = `<!doctype html><html lang="en" data-options='${options}'><link rel="icon" href="data:,"><title>Shop</title>`;
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? code : `${page}<script type="module">${SCRIPT}</script>`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Each test adds to what the ones before it stored. */
describe("the client in a page of another site", () => {
  test("delivers, compressed, with the key in a header", async () => {
    const { page, complaints } = await openPage(browser);
    await page.goto(siteUrl);
    const request = page.waitForRequest(`${platform.url}/events/batch`);
    const ledger = await page.evaluate(`track(400, "page.many"), client.flush().then(() => client.ledger)`);
    expect(ledger).toMatchObject({ offered: 400, delivered: 400, buffered: 0 });
    expect((await request).headers()["content-encoding"]).toBe("gzip");
    await expect.poll(() => readStored(platform), SETTLE).toBe(400);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("delivers what was tracked just before the visitor left the page", async () => {
    const { page } = await openPage(browser);
    await page.goto(siteUrl);
    await page.evaluate(`track(20, "page.left"), location.assign("about:blank")`);
    await page.waitForURL("about:blank");
    await expect.poll(() => readStored(platform), SETTLE).toBe(420);
    await page.context().close();
  });

  test("delivers what was tracked while the platform was away, after a reload, once", async () => {
    const { page, complaints } = await openPage(browser);
    await page.goto(`${siteUrl}/keep`);
    await platform.stop();
    await page.evaluate(`track(30, "page.kept"), location.reload()`);
    await page.waitForFunction("globalThis.client?.ledger.restored === 30");
    await platform.restart();
    const ledger = await page.evaluate("client.flush().then(() => client.ledger)");
    expect(ledger).toMatchObject({ offered: 30, restored: 30, delivered: 30 });
    await page.waitForFunction("localStorage.length === 0");
    await expect.poll(() => readStored(platform), SETTLE).toBe(450);
    expect(new Set(await readEventIds(platform, "asc", 1000)).size).toBe(450);
    expect(complaints.filter((line) => !OUTAGE.test(line))).toEqual([]);
    await page.context().close();
  });
});
