import type { StreamEvent } from "../../core/events/event.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { env } from "cloudflare:workers";
import { event, packed } from "./event-messages.ts";
import { makeKey, makeTenant } from "./http-client.ts";

export const T0 = Date.UTC(2026, 10, 22, 10);

/** Sixty events a minute apart, of which the first forty are sealed, in two segments, and the rest are the object's tail. */
export async function tenantWithEvents(): Promise<{ id: string; key: string; events: StreamEvent[] }> {
  const { id, adminKey } = await makeTenant();
  const events = Array.from({ length: 60 }, (_, i) =>
    event(`e-${i}`, T0 + i * 60_000, {
      type: i % 2 === 0 ? "order.placed" : "page.view",
      source: `shop-${i % 3}`,
      severity: i % 10 === 0 ? "critical" : "low",
      user_id: `u${i % 5}`,
      session_id: `s${i % 7}`,
      correlation_id: `c${i}`,
      tags: [`t${i % 4}`, "all"],
    }),
  );
  const stub = windowAggregator(env, id);
  for (const [from, to, seal] of [
    [0, 20, true],
    [20, 40, true],
    [40, 60, false],
  ] as const) {
    await stub.apply([{ id: `m${from}`, body: packed(events.slice(from, to)) }]);
    if (seal) await stub.flush();
  }
  return { id, key: (await makeKey(adminKey, "viewer")).key, events };
}
