import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import worker from "../../workers/index.ts";

const PAGE_POLICY = "default-src 'none'; script-src 'self'";

/** The files of a dashboard with one script; every other path is the page, as with `single-page-application`. */
const files = {
  fetch: async (request: Request) => {
    const isScript = new URL(request.url).pathname === "/assets/app-1.js";
    const headers = {
      "Content-Type": isScript ? "text/javascript" : "text/html; charset=utf-8",
      "Cache-Control": isScript ? "public, max-age=31536000, immutable" : "no-cache",
      "Content-Security-Policy": PAGE_POLICY,
    };
    return new Response(isScript ? "1" : "<!doctype html>", { headers });
  },
};

async function get(path: string, method = "GET"): Promise<Response> {
  const request = new Request<unknown, IncomingRequestCfProperties>(`http://streamflow.test${path}`, { method });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only `fetch` of the binding is used
  const assets = files as unknown as Fetcher;
  return await worker.fetch(request, { ...env, ASSETS: assets }, createExecutionContext());
}

describe("the dashboard's files through the Worker", () => {
  test.each(["/", "/alerts", "/eventsource", "/metrics-explained"])(
    "%s is the page, with its own policy and caching",
    async (path) => {
      const response = await get(path);
      expect(response.status).toBe(200);
      expect(await response.text()).toBe("<!doctype html>");
      expect(response.headers.get("Content-Security-Policy")).toBe(PAGE_POLICY);
      expect(response.headers.get("Cache-Control")).toBe("no-cache");
      expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
    },
  );

  test("a file keeps its long life", async () => {
    const response = await get("/assets/app-1.js");
    expect(response.headers.get("Cache-Control")).toContain("immutable");
  });

  test("a file of an older build is 404 and kept nowhere, instead of the page under its name", async () => {
    const response = await get("/assets/app-0.js");
    expect(response.status).toBe(404);
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    expect(response.headers.get("Content-Type")).toContain("application/json");
  });

  test.each([
    "/api",
    "/api/",
    "/api/v2/x",
    "/auth/x",
    "/events/a/b",
    "/ws/x",
    "/health/x",
    "/ready/x",
    "/metrics/x",
    "/__local/x",
  ])("%s is the API's and never the page", async (path) => {
    const response = await get(path);
    expect(response.headers.get("Content-Type")).toContain("application/json");
    expect(response.status).toBe(404);
  });

  test("a POST to a page is 404", async () => {
    expect((await get("/alerts", "POST")).status).toBe(404);
  });
});
