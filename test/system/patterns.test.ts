import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Platform, startPlatform } from "./platform.ts";

/** Long enough for the slowest machine; the wait ends as soon as the condition holds. */
const SETTLE = { timeout: 60_000, interval: 200 };

const CHECKOUT = {
  within: "8s",
  key: "user_id",
  out_of_orderness: "0s",
  idle_timeout: "1s",
  first: { filter: "event.type == 'checkout.started'" },
  second: { filter: "event.type == 'order.paid'" },
};

let platform: Platform;

beforeAll(async () => {
  platform = await startPlatform();
  for (const definition of [
    { name: "paid", kind: "sequence", ...CHECKOUT },
    { name: "abandoned", kind: "absence", ...CHECKOUT },
  ])
    await send("/api/v1/patterns", definition);
}, 90_000);

afterAll(async () => {
  await platform.dispose();
});

async function send(path: string, json: unknown): Promise<unknown> {
  const headers = { "content-type": "application/json" };
  const response = await platform.fetch(path, { method: "POST", headers, body: JSON.stringify(json) });
  const answer: unknown = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer;
}

interface PatternEvent {
  readonly type: string;
  readonly source: string;
  readonly user_id: string;
  readonly data: { readonly pattern: string; readonly event_ids: readonly string[] };
}

/** What has been told, as `type pattern: event ids`, oldest first. */
async function told(): Promise<string[]> {
  const response = await platform.fetch("/api/v1/events?source=streamflow.patterns&order=asc&limit=100");
  const { data } = (await response.json()) as { data: { events: PatternEvent[] } };
  return data.events.map(({ type, data: found }) => `${type} ${found.pattern}: ${found.event_ids.join(" ")}`);
}

async function buffered(name: string): Promise<number | null> {
  const response = await platform.fetch(`/api/v1/patterns/${name}`);
  const { data } = (await response.json()) as { data: { status: { buffered_events: number | null } } };
  return data.status.buffered_events;
}

describe("patterns, as a user meets them", () => {
  test("find who paid and who did not, also across a power cut and with every event sent twice", async () => {
    const at = Date.now();
    const event = (id: string, type: string, user: string, after: number) => ({
      id,
      type,
      source: "shop",
      user_id: user,
      timestamp: at + after,
    });
    const events = [
      event("bob-pays", "order.paid", "bob", 2000),
      event("ann-starts", "checkout.started", "ann", 0),
      event("bob-starts", "checkout.started", "bob", 1000),
    ];
    await send("/events/batch", { events });
    await expect.poll(() => buffered("abandoned"), SETTLE).toBe(3);
    await platform.kill9();
    await platform.restart();
    await expect
      .poll(told, SETTLE)
      .toEqual(["pattern.matched paid: bob-starts bob-pays", "pattern.matched abandoned: ann-starts"]);

    // It turns out that ann had paid in time: the telephone was without a network.
    await send("/events/batch", { events: [event("ann-pays", "order.paid", "ann", 3000), ...events] });
    const corrected = [
      "pattern.matched abandoned: ann-starts",
      "pattern.matched paid: ann-starts ann-pays",
      "pattern.matched paid: bob-starts bob-pays",
      "pattern.retracted abandoned: ann-starts",
    ];
    await expect.poll(async () => (await told()).toSorted(), SETTLE).toEqual(corrected);
    await platform.restart();
    expect((await told()).toSorted()).toEqual(corrected);
  }, 180_000);
});
