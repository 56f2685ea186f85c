import { gzipSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { axeViolations, launchBrowser, layoutShift, openPage, PAGE_DEFAULTS, sidewaysOverflow } from "./browser.ts";
import type { WatchedPage } from "./browser.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";

/** A change must be on the page this long after the request that caused it was answered. */
const SEEN_WITHIN_MS = 2_000;
/** What the browser itself writes when a server is away; script cannot prevent it. */
const OUTAGE_COMPLAINT = /net::ERR_(?:CONNECTION|EMPTY|INVALID|ABORTED|NETWORK)|WebSocket connection to .* failed/;

let platform: Platform;
let browser: Browser;

beforeAll(async () => {
  platform = await startPlatform();
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await platform?.dispose();
});

async function post(path: string, body: unknown): Promise<void> {
  const response = await platform.fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
}

/** Opens a path of the dashboard, signed in by the link that carries the key. */
async function open(path = "/", options = PAGE_DEFAULTS): Promise<WatchedPage> {
  const watched = await openPage(browser, options);
  await watched.page.goto(`${platform.url}${path}#key=${platform.adminKey}`);
  await watched.page.locator(".connection[data-tone=ok]").waitFor();
  return watched;
}

function stat(page: Page, name: string): Promise<string> {
  return page.locator(`[data-stat="${name}"]`).innerText();
}

/** Events the API knows of; the page must show the same. */
async function storedEvents(): Promise<number> {
  const answer: unknown = await (await platform.fetch("/api/v1/stats")).json();
  if (typeof answer !== "object" || answer === null || !("data" in answer)) throw new Error("no stats");
  const { data } = answer;
  if (typeof data !== "object" || data === null || !("total_events" in data)) throw new Error("no total_events");
  return Number(data.total_events);
}

describe("the dashboard in a real browser", () => {
  test("a newcomer pastes the key, sends the first event from the page and sees it counted", async () => {
    const { page, complaints } = await openPage(browser);
    await page.goto(platform.url);
    await page.getByLabel("API key").fill(platform.adminKey);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Send your first event" }).waitFor();
    expect(await page.locator("pre").first().innerText()).toContain(`curl -X POST ${platform.url}/events`);
    expect(await axeViolations(page)).toEqual([]);

    await page.getByRole("button", { name: "Send a test event" }).click();
    await expect.poll(() => stat(page, "events-total"), { timeout: SEEN_WITHIN_MS }).toBe("1");
    expect(await page.locator(".event-row").innerText()).toContain("order.created");
    expect(await page.evaluate(() => JSON.stringify(localStorage) + JSON.stringify(sessionStorage))).not.toContain(
      platform.adminKey,
    );
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("a wrong key is refused in words", async () => {
    const { page } = await openPage(browser);
    await page.goto(`${platform.url}/#key=adm_wrong`);
    await page.getByText("This key is not known here, or it was revoked.").waitFor();
    await page.context().close();
  });

  test("a link with the key signs in, and the key leaves the address at once", async () => {
    const { page, complaints } = await open("/alerts");
    expect(page.url()).toBe(`${platform.url}/alerts`);
    expect(await page.evaluate(() => window.history.length)).toBeLessThanOrEqual(2);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("a number changes on the page within two seconds of a POST", async () => {
    const { page, complaints } = await open();
    const before = Number(await stat(page, "events-total"));
    await post("/events/batch", {
      events: Array.from({ length: 7 }, (_, i) => ({
        type: "web.request",
        source: "shop",
        data: { status: i === 0 ? 500 : 200, path: `/products/${i}` },
      })),
    });
    await expect.poll(() => stat(page, "events-total"), { timeout: SEEN_WITHIN_MS }).toBe(String(before + 7));
    await page.locator(".place-status").getByText("500", { exact: true }).waitFor();
    await page.locator(".place-paths").getByText("/products/6").waitFor();
    await expect.poll(() => page.locator(".event-row").count()).toBe(Math.min(12, before + 7));
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("markup in events stays text", async () => {
    const { page, complaints } = await open();
    const attack = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
    await post("/events", {
      type: "attack.markup",
      source: attack,
      data: { path: attack, status: attack },
      tags: [attack],
    });
    const row = page.locator(".event-row", { hasText: "attack.markup" });
    await row.waitFor();
    expect(await row.innerText()).toContain("<img src=x");
    await row.getByRole("button").click();
    await page.getByRole("dialog").waitFor();
    expect(await page.locator("dialog pre").innerText()).toContain("<script>");
    await page.keyboard.press("Escape");
    await expect.poll(() => page.locator("dialog").count()).toBe(0);
    expect(await page.title()).toBe("StreamFlow");
    expect(await page.locator("main img, main script").count()).toBe(0);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("an alert opens on the page, is acknowledged there, and closes", async () => {
    await post("/api/v1/aggregations", {
      name: "errors_by_second",
      filter: "event.type == 'web.error'",
      window: { type: "tumbling", size: "1s" },
      group_by: ["data.status"],
      measures: { errors: { fn: "count" } },
      out_of_orderness: "0s",
      idle_timeout: "1s",
    });
    await post("/api/v1/rules", {
      name: "Too many errors",
      aggregation: "errors_by_second",
      condition: "errors > threshold",
      threshold: 2,
      level: "error",
      channels: [],
      keep_firing_for: "3s",
    });
    const { page, complaints } = await open();
    expect(await stat(page, "alerts-open")).toBe("0");
    const errors = Array.from({ length: 5 }, () => ({ type: "web.error", source: "shop", data: { status: 503 } }));
    await post("/events/batch", { events: errors });
    await expect.poll(() => stat(page, "alerts-open"), { timeout: 15_000 }).toBe("1");
    await page.locator(".place-alerts").getByText("Too many errors").waitFor();
    expect(await page.title()).toBe("(1) StreamFlow");
    await page
      .getByRole("status")
      .filter({ hasText: "New error alert: Too many errors" })
      .waitFor({ state: "attached" });

    await page.getByRole("link", { name: "Alerts" }).click();
    await page.getByRole("button", { name: "Acknowledge Too many errors" }).click();
    await page.getByRole("heading", { name: "Acknowledged" }).waitFor();
    await page.getByRole("heading", { name: "Resolved lately" }).waitFor({ timeout: 30_000 });
    await page.getByRole("link", { name: "Overview" }).click();
    await expect.poll(() => stat(page, "alerts-open")).toBe("0");
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("an aggregation's windows are counted while one looks on", async () => {
    const { page, complaints } = await open("/aggregations");
    await page.getByRole("link", { name: "events_1h" }).click();
    const row = page.locator(".window-table tr", { hasText: "cart.updated" });
    await post("/events", { type: "cart.updated", source: "shop", user_id: "u1" });
    await row.waitFor({ timeout: SEEN_WITHIN_MS });
    await post("/events", { type: "cart.updated", source: "shop", user_id: "u1" });
    await expect.poll(() => row.locator("td.number").allInnerTexts(), { timeout: SEEN_WITHIN_MS }).toEqual(["2", "1"]);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("a restart of the server is told, survived, and the numbers are right afterwards", async () => {
    const { page, complaints } = await open();
    await platform.stop();
    await page.locator(".connection[data-tone=error]").waitFor();
    expect(await page.locator(".overview").getAttribute("data-fresh")).toBe("false");
    await platform.restart();
    await page.locator(".connection[data-tone=ok]").waitFor({ timeout: 30_000 });
    await expect.poll(() => page.locator(".overview").getAttribute("data-fresh")).toBe("true");
    expect(Number(await stat(page, "events-total"))).toBe(await storedEvents());

    await post("/events", { type: "after.restart", source: "shop" });
    await page.locator(".event-row", { hasText: "after.restart" }).waitFor({ timeout: SEEN_WITHIN_MS });
    expect(Number(await stat(page, "events-total"))).toBe(await storedEvents());
    expect(complaints.filter((complaint) => !OUTAGE_COMPLAINT.test(complaint))).toEqual([]);
    await page.context().close();
  });

  test("a browser whose language Intl refuses still gets its chart", async () => {
    const { page, complaints } = await openPage(browser);
    await page.addInitScript(() =>
      Object.defineProperty(navigator, "language", { value: "en-US@posix", configurable: true }),
    );
    await page.goto(`${platform.url}/#key=${platform.adminKey}`);
    await page.locator(".uplot canvas").waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("the chart is read by keyboard and as a table", async () => {
    const { page, complaints } = await open();
    await post("/events", { type: "spoken.event", source: "shop" });
    const chart = page.getByRole("figure", { name: /^Events per second by type/ });
    await expect.poll(() => page.locator(".legend").innerText(), { timeout: 10_000 }).toContain("spoken.event");
    await chart.focus();
    await page.keyboard.press("ArrowLeft");
    await expect
      .poll(() => page.locator(".chart [aria-live]").innerText())
      .toMatch(/^\d\d:\d\d:\d\d, .*spoken\.event \d/);
    await page.getByRole("button", { name: "Table" }).click();
    expect(await page.locator(".series-table tbody tr").count()).toBe(25);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test.each(["light", "dark"] as const)(
    "no accessibility rule is broken and nothing scrolls sideways, %s",
    async (colorScheme) => {
      const { page, complaints } = await open("/", { ...PAGE_DEFAULTS, colorScheme });
      for (const path of ["Overview", "Alerts", "Aggregations"]) {
        await page.getByRole("link", { name: path }).click();
        await page.getByRole("heading", { name: path, level: 1 }).waitFor();
        await page.locator(".skeleton").first().waitFor({ state: "detached" });
        for (const width of [320, 360, 768, 1280, 1920]) {
          await page.setViewportSize({ width, height: 900 });
          expect(await sidewaysOverflow(page), `${path} at ${width}`).toBe(0);
          expect(await axeViolations(page), `${path} at ${width}`).toEqual([]);
        }
      }
      expect(complaints).toEqual([]);
      await page.context().close();
    },
  );

  test.each([360, 1280])("nothing moves while the page fills, %i px wide", async (width) => {
    const { page } = await open("/", { ...PAGE_DEFAULTS, viewport: { width, height: 900 } });
    await page.locator(".uplot canvas").waitFor();
    await page.locator(".event-row").first().waitFor();
    expect(await layoutShift(page)).toBeLessThanOrEqual(0.02);
    await page.context().close();
  });

  test("the first load of the overview weighs at most 60 KB and comes from one origin", async () => {
    const { page } = await open();
    await page.locator(".uplot canvas").waitFor();
    const loaded = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
    const files = [platform.url, ...loaded.filter((address) => !/\/(?:auth|api|ws)\//.test(address))];
    let bytes = 0;
    for (const address of new Set(files)) {
      expect(address.startsWith(platform.url)).toBe(true);
      bytes += gzipSync(new Uint8Array(await (await fetch(address)).arrayBuffer())).length;
    }
    expect(bytes).toBeLessThanOrEqual(60 * 1024);
    await page.context().close();
  });

  test("the page's policy is strict, its address is always checked and its named files never are", async () => {
    const index = await fetch(`${platform.url}/alerts`);
    const policy = index.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).toContain("require-trusted-types-for 'script'");
    expect(policy).not.toContain("unsafe");
    expect(index.headers.get("x-content-type-options")).toBe("nosniff");
    expect(index.headers.get("referrer-policy")).toBe("no-referrer");
    expect(index.headers.get("cache-control")).toBe("no-cache");
    const script = /src="(\/assets\/[^"]+)"/.exec(await index.text())?.[1] ?? "";
    const named = await fetch(platform.url + script);
    expect(named.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(named.headers.get("content-security-policy")).toBe(policy);
  });
});
