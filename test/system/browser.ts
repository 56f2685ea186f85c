/** A real Chromium, from npm, and pages in it that notice everything a user would call broken. */
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";

const require = createRequire(import.meta.url);

/** Rules of axe that are held: WCAG 2.2 A and AA, and its own good practice. */
const AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Launches the browser. Only two switches: the package's own list turns web security off, which would make the tests lie. */
export async function launchBrowser(): Promise<Browser> {
  const version = packageVersion("@sparticuz/chromium");
  const executablePath = await unpackBrowser(version);
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  if (!browser.version().startsWith(`${version.split(".")[0]}.`)) {
    throw new Error(`@sparticuz/chromium ${version} started a browser of version ${browser.version()}`);
  }
  return browser;
}

/** The package reuses whatever lies in the temporary directory, so each version of it gets its own. */
async function unpackBrowser(version: string): Promise<string> {
  const directory = join(tmpdir(), `chromium-${version}`);
  mkdirSync(directory, { recursive: true });
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = directory;
  try {
    const packed = await import("@sparticuz/chromium");
    return await packed.default.executablePath();
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
}

function packageVersion(name: string): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(join(import.meta.dirname, "../../node_modules", name, "package.json"), "utf8"),
  );
  return manifest.version;
}

/** A page and what went wrong on it: console errors and warnings, exceptions, policy violations, failed requests. */
export interface WatchedPage {
  readonly page: Page;
  readonly complaints: string[];
}

/** Settings that would otherwise come from the machine; a test may set them differently or leave `locale` out on purpose. */
export const PAGE_DEFAULTS: BrowserContextOptions = {
  viewport: { width: 1280, height: 900 },
  colorScheme: "light",
  reducedMotion: "reduce",
  locale: "en-GB",
  timezoneId: "Europe/Berlin",
};

/** Opens a page in a fresh context. */
export async function openPage(browser: Browser, options: BrowserContextOptions = PAGE_DEFAULTS): Promise<WatchedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning")
      complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("requestfailed", (request) =>
    complaints.push(`failed: ${request.url()} ${request.failure()?.errorText ?? ""}`),
  );
  // Chromium reports policy violations on the console too, but says nothing when a page catches them.
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      // oxlint-disable-next-line no-console -- it runs in the page, whose console is what is watched
      console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`);
    });
  });
  return { page, complaints };
}

/** A violation of an accessibility rule, in words. */
interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly target: unknown }[];
  }[];
}

/**
 * Runs axe in an isolated world of the page, so that the page's own policy stays in force.
 *
 * @returns one line per violation; empty when there is none
 */
export async function axeViolations(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const source = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
  await session.send("Runtime.evaluate", { contextId: executionContextId, expression: source });
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    contextId: executionContextId,
    expression: `axe.run(document, { runOnly: ${JSON.stringify(AXE_TAGS)} }).then(JSON.stringify)`,
    awaitPromise: true,
  });
  await session.detach();
  if (exceptionDetails !== undefined) throw new Error(exceptionDetails.text);
  const { violations }: AxeResult = JSON.parse(String(result.value));
  return violations.map(
    ({ id, help, nodes }) => `${id}: ${help} at ${nodes.map((node) => JSON.stringify(node.target)).join(", ")}`,
  );
}

/** How far the page scrolls sideways, in CSS pixels; 0 is right. */
export async function sidewaysOverflow(page: Page): Promise<number> {
  return await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Cumulative layout shift since the page was opened. */
export async function layoutShift(page: Page): Promise<number> {
  return await page.evaluate(
    () =>
      new Promise<number>((done) => {
        let sum = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) {
            if (
              "value" in entry &&
              typeof entry.value === "number" &&
              !("hadRecentInput" in entry && entry.hadRecentInput)
            )
              sum += entry.value;
          }
        }).observe({ type: "layout-shift", buffered: true });
        setTimeout(() => done(sum), 100);
      }),
  );
}
