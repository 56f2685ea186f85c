import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { expect, vi } from "vitest";
import type { StreamEvent } from "../../core/events/event.ts";
import { patternKeeperName } from "../../core/events/names.ts";
import { ALL_EVENTS } from "../../core/events/query.ts";
import type { PatternDefinition } from "../../core/patterns/definition.ts";
import { KEEPERS } from "../../core/patterns/forward.ts";
import { event } from "./event-messages.ts";
import { newAggregator } from "./window-aggregator-bench.ts";

export const SECOND = 1000;
/** A little ahead of the clock, however slow the machine is: sources last heard of a while ago would be found silent. */
export const T0 = Date.now() + 120_000;

export const cartPaid = {
  name: "paid",
  kind: "sequence",
  first: { filter: "event.type == 'cart'" },
  second: { filter: "event.type == 'paid'" },
  within: "60s",
  key: "user_id",
  out_of_orderness: "0s",
} satisfies PatternDefinition;

export const cartLeft = { ...cartPaid, name: "left", kind: "absence" } satisfies PatternDefinition;

export const threeErrors = {
  name: "errors",
  kind: "count",
  event: { filter: "event.type == 'error'" },
  times: 3,
  within: "60s",
  key: "data.host",
  out_of_orderness: "0s",
} satisfies PatternDefinition;

/** Long enough for a busy machine; the wait ends as soon as the condition holds. */
const SETTLE = { timeout: 15_000, interval: 50 };

/** What `read` gives is expected to become what is then said of it. */
export const eventually = <T>(read: () => T) => expect.poll(read, SETTLE);

/** Does it until it does not throw. */
export const untilDone = async (work: () => Promise<void>): Promise<void> => await vi.waitFor(work, SETTLE);

export type Bench = Awaited<ReturnType<typeof withPatterns>>;

/** A tenant of its own with these patterns. */
export async function withPatterns(...definitions: PatternDefinition[]) {
  const aggregator = newAggregator();
  for (const definition of definitions) {
    const made = await aggregator.stub.putPattern(definition, "create");
    if (!made.ok) throw new Error(JSON.stringify(made));
  }
  const { tenant } = aggregator;
  const keepers = Array.from({ length: KEEPERS }, (_, k) => env.PATTERN_KEEPER.getByName(patternKeeperName(tenant, k)));
  return { ...aggregator, keepers };
}

export function cart(user: string, atMs: number): StreamEvent {
  return event(`cart-${user}`, atMs, { type: "cart", user_id: user });
}

export function paid(user: string, atMs: number): StreamEvent {
  return event(`paid-${user}`, atMs, { type: "paid", user_id: user });
}

/** Moves the watermark, and is of no pattern. */
export function later(atMs: number): StreamEvent {
  return event(`later-${atMs}`, atMs, { type: "other" });
}

/** What patterns have told so far, in order of time, as `type data.pattern data.event_ids`. */
export async function told({ stub }: Pick<Bench, "stub">): Promise<string[]> {
  return (await toldEvents({ stub })).map(
    ({ type, data }) => `${type} ${String(data["pattern"])}: ${String(data["event_ids"])}`,
  );
}

export async function toldEvents({ stub }: Pick<Bench, "stub">): Promise<StreamEvent[]> {
  const { events } = await stub.readTail(ALL_EVENTS, null, 1000);
  return events.filter(({ type }) => type.startsWith("pattern.")).reverse();
}

/** Every object of the tenant starts anew from disk. */
export async function evictAll({ object, keepers }: Bench): Promise<void> {
  await evictDurableObject(object);
  for (const keeper of keepers) {
    // One that was never called is nothing to evict.
    await keeper.status();
    await evictDurableObject(keeper);
  }
}

/** What time brings: the alarms that are set ring. */
export async function ring({ object, keepers }: Bench): Promise<void> {
  await runDurableObjectAlarm(object);
  for (const keeper of keepers) await runDurableObjectAlarm(keeper);
}
