import type { ConnectionState } from "../../core/live/connection-state.ts";
import { duration } from "../format/time.ts";

/** How the connection is, in words. */
export interface ConnectionWords {
  readonly tone: "ok" | "warning" | "error" | "waiting";
  readonly words: string;
  /** May the viewer ask for another try now? */
  readonly canRetry: boolean;
}

/**
 * What the connection's state means for the numbers on the page.
 *
 * @param wallMs    the viewer's clock, epoch ms
 * @param lastEventMs when the last event came, by the viewer's clock; null when none is known
 */
export function connectionWords(state: ConnectionState, wallMs: number, lastEventMs: number | null): ConnectionWords {
  switch (state.phase) {
    case "live":
      return { tone: "ok", words: liveWords(wallMs, lastEventMs), canRetry: false };
    case "stale":
      return { tone: "warning", words: `No data for ${duration(wallMs - state.heardAtMs)}`, canRetry: false };
    case "backoff":
      return {
        tone: "error",
        words: `Disconnected, retrying ${retryWords((state.retryAtMs ?? wallMs) - wallMs)}`,
        canRetry: true,
      };
    case "paused":
      return { tone: "waiting", words: "Paused while hidden", canRetry: false };
    case "idle":
    case "refused":
      return { tone: "waiting", words: "Not connected", canRetry: false };
    case "ticket":
    case "opening":
      if (state.lostAtMs === null) return { tone: "waiting", words: "Connecting", canRetry: false };
      return { tone: "error", words: "Disconnected, connecting", canRetry: false };
  }
}

const QUIET_AFTER_MS = 60_000;

function liveWords(wallMs: number, lastEventMs: number | null): string {
  const quietMs = lastEventMs === null ? 0 : wallMs - lastEventMs;
  return quietMs < QUIET_AFTER_MS ? "Live" : `Live, no events for ${duration(quietMs)}`;
}

function retryWords(inMs: number): string {
  return inMs < 1_000 ? "now" : `in ${duration(inMs)}`;
}
