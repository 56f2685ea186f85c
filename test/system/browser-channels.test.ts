import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { axeViolations, launchBrowser, openPage, PAGE_DEFAULTS } from "./browser.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";

const SOON = { timeout: 10_000, interval: 100 };

let platform: Platform;
let browser: Browser;
let receiver: Server;
const received: string[] = [];

beforeAll(async () => {
  platform = await startPlatform();
  browser = await launchBrowser();
  receiver = createServer((request, response) => {
    received.push(`${request.method} ${request.url}`);
    request.resume().on("end", () => response.writeHead(204).end());
  });
  await new Promise<void>((listening) => receiver.listen(0, "127.0.0.1", listening));
});

afterAll(async () => {
  await browser?.close();
  await platform?.dispose();
  receiver?.close();
});

async function openChannels(options = PAGE_DEFAULTS): Promise<{ page: Page; complaints: string[] }> {
  const watched = await openPage(browser, options);
  await watched.page.goto(`${platform.url}/channels#key=${platform.adminKey}`);
  await watched.page.locator(".connection[data-tone=ok]").waitFor();
  return watched;
}

function receiverUrl(path: string): string {
  return `http://127.0.0.1:${(receiver.address() as AddressInfo).port}${path}`;
}

describe("channels on the dashboard", () => {
  test("a channel with a wrong address is refused at its field, then made, tried and deleted", async () => {
    const { page } = await openChannels();
    await page.getByRole("button", { name: "New channel" }).click();
    const form = page.getByRole("dialog");
    await form.getByLabel("Name").fill("hook");
    await form.getByLabel("URL").fill("not an address");
    expect(await axeViolations(page)).toEqual([]);
    await form.getByRole("button", { name: "Create" }).click();
    await form.locator(".problem").getByText("URL").waitFor();
    expect(await form.getByLabel("URL").getAttribute("aria-invalid")).toBe("true");

    await form.getByLabel("Kind").selectOption("Slack");
    await form.getByLabel("Kind").selectOption("Webhook");
    await form.getByLabel("URL").fill("https://hooks.example.com/alerts");
    await form.getByRole("button", { name: "Create" }).click();
    await page.getByRole("dialog", { name: "The signing secret" }).getByText("whsec_").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("rowheader", { name: "hook" }).waitFor();

    await page.getByRole("button", { name: "Delete hook" }).click();
    await page.getByText("No channels yet").waitFor();
    await page.context().close();
  });

  test("sending a test says what came of it", async () => {
    const body = { name: "local", type: "webhook", config: { url: receiverUrl("/hook"), allow_private_targets: true } };
    const headers = { "content-type": "application/json" };
    await platform.fetch("/api/v1/channels", { method: "POST", headers, body: JSON.stringify(body) });
    const { page, complaints } = await openChannels();
    await page.getByRole("button", { name: "Send a test to local" }).click();
    await page.getByText(/Delivered in \d+ ms/).waitFor();
    expect(received).toContain("POST /hook");
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});

/**
 * Neither the browser's push service nor permission to notify exist in a headless browser; everything else is real: the page,
 * its policies, the service worker, the API and the encrypted message.
 */
function standInForPush(endpoint: string): void {
  Object.defineProperty(Notification, "permission", { get: () => "granted" });
  Notification.requestPermission = () => Promise.resolve("granted");
  const keys = {
    p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    auth: "BTBZMqHH6r4Tts7J_aSIgg",
  };
  PushManager.prototype.subscribe = () => {
    const subscription = { toJSON: () => ({ endpoint, keys, allow_private_targets: true }) };
    return Promise.resolve(subscription as unknown as PushSubscription);
  };
}

describe("this browser as a channel", () => {
  test("the service worker is installed, the subscription becomes a channel, and a test reaches the push service", async () => {
    const { page, complaints } = await openPage(browser);
    await page.addInitScript(standInForPush, receiverUrl("/push"));
    await page.goto(`${platform.url}/channels#key=${platform.adminKey}`);
    await page.getByRole("button", { name: "Notify this browser" }).click();
    await page.getByRole("button", { name: "Send a test to This browser" }).click();
    await expect.poll(() => received, SOON).toContain("POST /push");
    const worker = await page.evaluate(async () => (await navigator.serviceWorker.ready).active?.scriptURL);
    expect(worker).toBe(`${platform.url}/push-worker.js`);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("a browser that must not notify says so", async () => {
    const { page } = await openChannels();
    await page.getByText("Notifications of this site are blocked").waitFor();
    await page.context().close();
  });
});
