import type { StreamEvent } from "./event.ts";
import type { Page } from "./page.ts";

/** JSON text on one page, characters: a thousand events of 32 KB each would be more than an RPC call or a browser can take. */
export const MAX_PAGE_CHARACTERS = 8_000_000;

/** As many of the events, from the first, as fit `MAX_PAGE_CHARACTERS` as JSON; at least one. */
export function fittingEvents(events: readonly StreamEvent[]): readonly StreamEvent[] {
  let characters = 0;
  const end = events.findIndex(
    (event, k) => (characters += JSON.stringify(event).length) > MAX_PAGE_CHARACTERS && k > 0,
  );
  return end < 0 ? events : events.slice(0, end);
}

/** The page, shortened to what fits; the rest comes with its cursor. */
export function fittingPage(page: Page): Page {
  const events = fittingEvents(page.events);
  const last = events.at(-1);
  if (last === undefined || events.length === page.events.length) return page;
  return { ...page, events, next: { timestamp: last.timestamp, id: last.id } };
}
