import { setTimeout as wait } from "node:timers/promises";
import { messageOf } from "./settings.ts";

/** How much of the queue is left; counts of messages. */
export interface DrainState {
  readonly sent: number;
  readonly done: number;
  readonly outstanding: number;
}

/** What draining came to. `left` is undefined when the platform could not tell. */
export interface DrainResult {
  readonly left: number | undefined;
  readonly problem?: string;
}

const POLL_MS = 50;
/** A request that was let in just before the door closed sends its events a moment later. */
const QUIET_MS = 300;

/**
 * Closes the door for new events (ingest answers 503 from the first call on) and waits until the queue has been empty,
 * with nothing more sent to it, for QUIET_MS.
 *
 * @param limitMs  longest wait
 */
export async function drain(url: string, adminKey: string, limitMs: number): Promise<DrainResult> {
  const deadline = performance.now() + limitMs;
  let left: number | undefined;
  let quiet: { readonly since: number; readonly sent: number } | undefined;
  while (performance.now() < deadline) {
    try {
      const { sent, outstanding } = await askToDrain(url, adminKey, deadline - performance.now());
      left = outstanding;
      if (outstanding > 0) quiet = undefined;
      else if (quiet?.sent !== sent) quiet = { since: performance.now(), sent };
      if (quiet !== undefined && performance.now() - quiet.since >= QUIET_MS) return { left: 0 };
    } catch (error) {
      return { left, problem: messageOf(error) };
    }
    await wait(POLL_MS);
  }
  return { left };
}

async function askToDrain(url: string, adminKey: string, limitMs: number): Promise<DrainState> {
  const response = await fetch(new URL("/__local/drain", url), {
    method: "POST",
    headers: { authorization: `Bearer ${adminKey}` },
    signal: AbortSignal.timeout(Math.max(1, Math.ceil(limitMs))),
  });
  if (!response.ok) throw new Error(`the platform answered ${response.status} when asked to drain`);
  const body: unknown = await response.json();
  const data = field(body, "data") ?? body;
  const [sent, done, outstanding] = ["sent", "done", "outstanding"].map((name) => Number(field(data, name)));
  if (sent === undefined || done === undefined || outstanding === undefined || !Number.isFinite(outstanding)) {
    throw new Error("the platform's answer about its queue could not be read");
  }
  return { sent, done, outstanding };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value))[name] : undefined;
}
