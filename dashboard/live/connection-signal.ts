import { computed, signal } from "@preact/signals";
import { createConnection, type ConnectionState } from "../../core/live/connection-state.ts";
import { serverAheadMs, serverNowMs } from "./clock.ts";

const OVERVIEW = "dashboard:overview";

/** What the page follows from the start. */
export const TOPICS: readonly string[] = [OVERVIEW, "events", "alerts"];

/** The connection as it stands. Only live/feed.ts writes it. */
export const connection = signal<ConnectionState>(createConnection(TOPICS, Date.now()));

/** Are the overview's numbers as new as they can be: connected, and not waiting for a snapshot? */
export const isFresh = computed(() => {
  const { phase, topics } = connection.value;
  return phase === "live" && topics[OVERVIEW]?.waiting !== "snapshot";
});

/** Has anything been received since the page was opened? */
export const hasHeard = computed(() => connection.value.heardAtMs > 0);

/** Until when the numbers are known, by the server's clock, epoch ms: now, or when the server was last heard. */
export const knownUntilMs = computed(() =>
  isFresh.value ? serverNowMs.value : Math.min(serverNowMs.value, connection.value.heardAtMs + serverAheadMs.value),
);
