import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { axeViolations, launchBrowser, openPage, PAGE_DEFAULTS, sidewaysOverflow } from "./browser.ts";
import { startPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { post } from "./sample.ts";

const SOON = { timeout: 20_000, interval: 200 };

let platform: Platform;
let browser: Browser;

beforeAll(async () => {
  platform = await startPlatform();
  browser = await launchBrowser();
  await post(platform, "/api/v1/aggregations", {
    name: "errors_by_second",
    filter: "event.type == 'web.error'",
    window: { type: "tumbling", size: "1s" },
    group_by: ["data.host"],
    measures: { errors: { fn: "count" } },
    out_of_orderness: "0s",
    idle_timeout: "1s",
  });
});

afterAll(async () => {
  await browser?.close();
  await platform?.dispose();
});

async function open(path: string, options = PAGE_DEFAULTS): Promise<{ page: Page; complaints: string[] }> {
  const watched = await openPage(browser, options);
  await watched.page.goto(`${platform.url}${path}#key=${platform.adminKey}`);
  await watched.page.locator(".connection[data-tone=ok]").waitFor();
  return watched;
}

/** As the shell's own links do it: a reload would ask for the key again. */
async function goTo(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation").getByRole("link", { name }).click();
}

async function sendErrors(host: string, count: number): Promise<void> {
  const events = Array.from({ length: count }, () => ({ type: "web.error", source: "shop", data: { host } }));
  await post(platform, "/events/batch", { events });
}

async function windowsClosed(): Promise<number> {
  const response = await platform.fetch("/api/v1/aggregations/errors_by_second/windows?status=closed");
  const answer: { data: { windows: unknown[] } } = JSON.parse(await response.text());
  return answer.data.windows.length;
}

describe("rules and alerts on the dashboard", () => {
  test("a rule is written against what it would have done, and a mistake is shown where it is", async () => {
    await sendErrors("web-1", 5);
    await expect.poll(windowsClosed, SOON).toBe(1);
    const { page } = await open("/rules");
    await page.getByRole("link", { name: "New rule" }).click();
    await page.getByLabel("Aggregation").selectOption("errors_by_second");
    await page.getByLabel("Name").fill("Errors of a host");
    await page.getByLabel("Threshold").fill("2");
    const condition = page.getByLabel("Condition", { exact: true });
    await condition.fill("errors > > threshold");
    await page.getByRole("button", { name: "Create" }).click();
    await page.locator(".field .problem").first().waitFor();
    expect(await condition.getAttribute("aria-invalid")).toBe("true");

    await condition.fill("errors > threshold");
    await page.getByText("It would have fired 1 time.").waitFor();
    expect(await page.locator(".preview-span[data-state=firing]").count()).toBe(1);
    expect(await axeViolations(page)).toEqual([]);
    await condition.fill("errors > threshold * 10");
    await page.getByText("It would have fired 0 times.").waitFor();
    await condition.fill("errors > threshold");
    await page.getByLabel("Keep firing for").fill("10m");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { name: "Errors of a host" }).waitFor();
    await page.getByRole("button", { name: "Save" }).waitFor();
    await page.context().close();
  });

  test("an alert is found, understood, acknowledged with a comment and resolved", async () => {
    const { page, complaints } = await open("/alerts");
    await sendErrors("web-2", 5);
    await page.getByRole("link", { name: "Errors of a host" }).click({ timeout: SOON.timeout });
    await page.getByText("errors = 5 for data.host = web-2").waitFor();
    await page.getByRole("heading", { name: "Who was told" }).waitFor();
    await page.getByRole("button", { name: "Acknowledge" }).click();
    await page.getByLabel("Comment").fill("looking into it");
    await page.getByRole("dialog").getByRole("button", { name: "Acknowledge" }).click();
    await page.getByRole("cell", { name: "looking into it" }).waitFor();
    expect(await axeViolations(page)).toEqual([]);

    await page.getByRole("button", { name: "Resolve" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Resolve" }).click();
    await page.getByText("resolved (manual)").first().waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("filters are in the address, so that a link shows the same alerts", async () => {
    await sendErrors("web-3", 5);
    const { page } = await open("/alerts?status=firing&q=web-3");
    await page.getByRole("link", { name: "Errors of a host" }).waitFor({ timeout: SOON.timeout });
    await page.getByLabel("Containing").fill("nothing like it");
    await page.getByText("Nothing is firing.").waitFor();
    expect(new URL(page.url()).searchParams.get("q")).toBe("nothing like it");
    await page.context().close();
  });

  test("a silence keeps an alert quiet, is listed, and is ended", async () => {
    const { page, complaints } = await open("/alerts?q=web-3");
    await page.getByRole("button", { name: "Silence Errors of a host" }).click();
    const dialog = page.getByRole("dialog");
    expect(await dialog.getByLabel("Which alerts").inputValue()).toBe("rule = Errors of a host\ndata.host = web-3");
    await dialog.getByLabel("Comment").fill("known");
    await dialog.getByRole("button", { name: "Silence" }).click();
    await page.getByRole("heading", { name: "Suppressed" }).waitFor();
    await page.locator(".silence", { hasText: "web-3" }).getByRole("button", { name: "End now" }).click();
    await page.getByText("Nothing is being kept quiet.").waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test.each([360, 768, 1280])(
    "no accessibility rule is broken and nothing scrolls sideways at %i px",
    async (width) => {
      const { page } = await open("/alerts", {
        ...PAGE_DEFAULTS,
        viewport: { width, height: 900 },
        colorScheme: "dark",
      });
      for (const screen of ["Rules", "Channels", "System", "Alerts"]) {
        await goTo(page, screen);
        await page.locator(".panel").first().waitFor();
        expect(await axeViolations(page), screen).toEqual([]);
        expect(await sidewaysOverflow(page), screen).toBe(0);
      }
      await page.context().close();
    },
  );
});
