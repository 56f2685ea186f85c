import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { field } from "../../cli/api.ts";
import { type Platform, startPlatform } from "./platform.ts";

const BATCH = 20;
const REQUESTS = 300;
const AT_ONCE = 16;
/** Tiny, so that a few hundred requests are a flood. */
const QUOTA = { events_per_second: 100, burst: 400, bytes_per_second: 1_000_000 };

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform.dispose());

async function json(method: string, path: string, key: string, body?: unknown): Promise<unknown> {
  const response = await fetch(platform.url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(response.status, `${method} ${path}`).toBeLessThan(300);
  return field(await response.json(), "data");
}

/** A tenant with a quota that is soon used up. @returns its admin key */
async function makeTenant(id: string): Promise<string> {
  const made = await json("POST", "/api/v1/tenants", platform.adminKey, { id, name: id });
  const key = String(field(made, "admin_key"));
  await json("PUT", "/api/v1/flow", key, { quota: QUOTA });
  return key;
}

/** What became of a flood. */
interface Flood {
  accepted: number;
  okay: number;
  refused: number;
  /** Answers that are neither 200 nor 429 with a whole number of seconds to wait. */
  readonly strange: string[];
}

async function flood(tenant: string, key: string): Promise<Flood> {
  const result: Flood = { accepted: 0, okay: 0, refused: 0, strange: [] };
  const numbers = Array.from({ length: REQUESTS }, (_, n) => n).values();
  const lane = async (): Promise<void> => {
    for (const n of numbers) {
      const events = Array.from({ length: BATCH }, (_, k) => ({
        id: `${tenant}-${n}-${k}`,
        type: "flood",
        source: "s",
      }));
      const response = await fetch(`${platform.url}/events/batch`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify({ events }),
      });
      const answer: unknown = await response.json();
      const retryAfter = response.headers.get("retry-after") ?? "";
      if (response.status === 200) {
        result.okay++;
        result.accepted += Number(field(field(answer, "data"), "accepted"));
      } else if (response.status === 429 && /^[1-9]\d*$/.test(retryAfter)) result.refused++;
      else result.strange.push(`${response.status} ${retryAfter}`);
      await wait(1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return result;
}

test("in a flood of two tenants every 200 is counted once, the rest is told to wait, and the ledgers reconcile", async () => {
  const tenants = ["flood-a", "flood-b"];
  const keys = await Promise.all(tenants.map(makeTenant));
  const floods = await Promise.all(tenants.map((tenant, k) => flood(tenant, keys[k] ?? "")));
  for (const [k, { accepted, okay, refused, strange }] of floods.entries()) {
    const key = keys[k] ?? "";
    expect(strange).toEqual([]);
    expect(okay + refused).toBe(REQUESTS);
    expect(refused).toBeGreaterThan(0);
    expect(accepted).toBe(okay * BATCH);
    expect(accepted).toBeGreaterThan(0);
    await expect
      .poll(async () => field(await json("GET", "/api/v1/stats", key), "total_events"), { timeout: 15_000 })
      .toBe(accepted);
    await expect
      .poll(async () => field(await json("GET", "/api/v1/flow", key), "ledger"), { timeout: 15_000 })
      .toMatchObject({
        requests: { offered: REQUESTS, admitted: okay, refused },
        events: { admitted: accepted, applied: accepted, in_flight: 0 },
      });
  }
});
