import type { IncomingMessage } from "../../durable-objects/aggregator/messages.ts";

/**
 * Events in one call to an object, unless a single message holds more. An object is busy with them for some 15 ms, and for so long
 * every other caller waits: queries, live readers and, on a local platform, ingest.
 */
const MAX_EVENTS_PER_CALL = 2_500;

/** Messages in portions for one call each, in order. Messages that do not say how many events they hold go together. */
export function portions(messages: readonly IncomingMessage[]): readonly IncomingMessage[][] {
  const all: IncomingMessage[][] = [];
  let events = 0;
  for (const message of messages) {
    const last = all.at(-1);
    events += message.events ?? 0;
    if (last !== undefined && events <= MAX_EVENTS_PER_CALL) last.push(message);
    else {
      all.push([message]);
      events = message.events ?? 0;
    }
  }
  return all;
}
