import { ColumnarBuilder } from "../../core/events/event-batch.ts";
import type { StreamEvent } from "../../core/events/event.ts";
import type { EventMessage } from "../../core/events/message.ts";
import { packChunk } from "../../storage/chunk.ts";

export const T0 = Date.parse("2015-05-17T10:00:00Z");

let tenants = 0;
/** A tenant of its own for each test, because objects outlive tests. */
export const newTenant = (kind: string): string => `${kind}-${++tenants}`;

export function event(id: string, atMs: number, fields: Partial<StreamEvent> = {}): StreamEvent {
  return {
    id,
    type: "web.request",
    source: "shop",
    timestamp: atMs,
    receivedAt: atMs,
    severity: "low",
    data: { status: 200 },
    metadata: {},
    ...fields,
  };
}

/** `count` events a second apart. */
export function events(count: number, prefix = "e", fromMs = T0): StreamEvent[] {
  return Array.from({ length: count }, (_, k) => event(`${prefix}-${k}`, fromMs + k * 1000));
}

export function packed(list: readonly StreamEvent[]): Uint8Array {
  const builder = new ColumnarBuilder();
  for (const one of list) builder.add(one);
  return packChunk(builder.toText());
}

export function eventMessage(tenant: string, list: readonly StreamEvent[]): EventMessage {
  return { v: 1, tenant, batch: crypto.randomUUID(), n: list.length, acceptedAt: Date.now(), body: packed(list) };
}
