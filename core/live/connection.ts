/**
 * The browser's side of a live connection, as a state machine without clock, socket or timers.
 *
 * Problem: a socket that says OPEN may be dead for minutes (sleep, a changed network), a server may skip frames, and a page
 * that shows old numbers as new ones is worse than one that shows none.
 * Rule: life is judged by what was heard and when, never by the socket's own state; every frame is judged by its sequence.
 *
 *   idle → ticket → opening → live ⇄ stale → backoff → ticket …      paused: hidden for long      refused: no valid key
 */
import { retryDelayMs } from "./connection-backoff.ts";
import { askForAll, askOverdue, heard, subscribe, unsubscribe } from "./connection-frames.ts";
import {
  enter,
  isOpen,
  unchanged,
  type ConnectionInput,
  type ConnectionState,
  type Step,
  type StepContext,
} from "./connection-state.ts";
import { CLOSE_REVOKED } from "./protocol.ts";

/** Call `step` with a tick this often; a gap far longer than this means that the machine slept. */
export const TICK_MS = 250;
/** Quiet for this long: ask the server whether it is there. */
const PING_AFTER_MS = 2_000;
const STALE_AFTER_MS = 5_000;
/** Quiet for this long: open a new socket even if the old one claims to be open. */
const REOPEN_AFTER_MS = 10_000;
/** A ticket or a handshake that takes longer counts as failed. */
const CONNECT_TIMEOUT_MS = 10_000;
const HIDDEN_CLOSE_MS = 60_000;
const CLOCK_JUMP_MS = 10_000;
/** A connection that lived this long ends the count of failures; a shorter one would let a crashing server be hammered. */
const PROVEN_AFTER_MS = 5_000;

const PING = { type: "send", message: { type: "ping" } } as const;

/** Next state and what the shell has to do, in order. Inputs that do not fit the phase change nothing. */
export function step(state: ConnectionState, input: ConnectionInput, context: StepContext): Step {
  if ("attempt" in input && input.attempt !== state.attempt) return unchanged(state);
  switch (input.type) {
    case "start":
      return state.phase === "idle" || state.phase === "refused" ? connect(state, context) : unchanged(state);
    case "stop":
      return { state: enter(state, "idle", context), actions: [{ type: "close" }] };
    case "retry":
    case "wake":
      return wake(state, context);
    case "hidden":
      return unchanged({ ...state, hiddenAtMs: state.hiddenAtMs ?? context.nowMs });
    case "visible":
      return wake({ ...state, hiddenAtMs: null }, context);
    case "tick":
      return tick(state, context);
    case "ticket":
      return state.phase === "ticket" ? opening(state, input.ticket, context) : unchanged(state);
    case "ticket_failed":
      return state.phase === "ticket" ? ticketFailed(state, input.reason, context) : unchanged(state);
    case "opened":
      return state.phase === "opening" ? opened(state, context) : unchanged(state);
    case "frame":
      return isOpen(state) ? heard(state, input.frame, context) : unchanged(state);
    case "closed":
      return closed(state, input.code, context);
    case "subscribe":
      return subscribe(state, input.topic, context);
    case "unsubscribe":
      return unsubscribe(state, input.topic);
  }
}

function connect(state: ConnectionState, context: StepContext): Step {
  const attempt = state.attempt + 1;
  const next = { ...enter(state, "ticket", context), attempt };
  return { state: next, actions: [{ type: "close" }, { type: "fetch_ticket", attempt, renew: state.renew }] };
}

function opening(state: ConnectionState, ticket: string, context: StepContext): Step {
  const next = { ...enter(state, "opening", context), renew: false };
  return { state: next, actions: [{ type: "open", attempt: state.attempt, ticket }] };
}

/** A refused token is renewed once; a refusal of the new one is final until the user signs in. */
function ticketFailed(state: ConnectionState, reason: "unauthorized" | "unavailable", context: StepContext): Step {
  if (reason === "unavailable") return lose(state, context);
  if (!state.renew) return connect({ ...state, renew: true }, context);
  return { state: { ...enter(state, "refused", context), renew: false }, actions: [{ type: "close" }] };
}

function opened(state: ConnectionState, context: StepContext): Step {
  const { nowMs } = context;
  return askForAll({ ...enter(state, "live", context), heardAtMs: nowMs, pingedAtMs: nowMs, lostAtMs: null }, context);
}

function closed(state: ConnectionState, code: number, context: StepContext): Step {
  if (state.phase !== "opening" && !isOpen(state)) return unchanged(state);
  return lose({ ...state, renew: state.renew || code === CLOSE_REVOKED }, context);
}

/** The connection is gone: wait, a random while, then try again. */
function lose(state: ConnectionState, context: StepContext): Step {
  const lostAtMs = state.lostAtMs ?? context.nowMs;
  const failures = state.failures + 1;
  const delayMs = retryDelayMs(failures, context.nowMs - lostAtMs, context.random);
  const next = { ...enter(state, "backoff", context), lostAtMs, failures, retryAtMs: context.nowMs + delayMs };
  return { state: next, actions: [{ type: "close" }] };
}

/** Something says that the world is back (network, tab, the user): do not wait any longer. */
function wake(state: ConnectionState, context: StepContext): Step {
  if (state.phase === "backoff") return connect(state, context);
  if (state.phase === "paused") return state.hiddenAtMs === null ? connect(state, context) : unchanged(state);
  if (!isOpen(state)) return unchanged(state);
  if (context.nowMs - state.heardAtMs > STALE_AFTER_MS) return connect({ ...state, lostAtMs: context.nowMs }, context);
  return { state: { ...state, pingedAtMs: context.nowMs }, actions: [PING] };
}

function tick(before: ConnectionState, context: StepContext): Step {
  const { nowMs } = context;
  const slept = nowMs - before.tickedAtMs > CLOCK_JUMP_MS;
  const state = { ...before, tickedAtMs: nowMs };
  if (state.phase === "idle" || state.phase === "refused" || state.phase === "paused") return unchanged(state);
  if (state.hiddenAtMs !== null && nowMs - state.hiddenAtMs > HIDDEN_CLOSE_MS) {
    return { state: enter(state, "paused", context), actions: [{ type: "close" }] };
  }
  if (slept) return connect({ ...state, lostAtMs: state.lostAtMs ?? nowMs }, context);
  if (state.phase === "backoff") return nowMs >= (state.retryAtMs ?? 0) ? connect(state, context) : unchanged(state);
  if (isOpen(state)) return watch(state, context);
  return nowMs - state.sinceMs > CONNECT_TIMEOUT_MS ? lose(state, context) : unchanged(state);
}

/** Is the open connection alive, and were all subscriptions answered? */
function watch(before: ConnectionState, context: StepContext): Step {
  const { nowMs } = context;
  const quietMs = nowMs - before.heardAtMs;
  if (quietMs > REOPEN_AFTER_MS) return lose(before, context);
  const { state, actions } = askOverdue(before, context);
  const aged = quietMs > STALE_AFTER_MS && state.phase === "live" ? enter(state, "stale", context) : state;
  const failures = aged.phase === "live" && nowMs - aged.sinceMs > PROVEN_AFTER_MS ? 0 : aged.failures;
  if (quietMs < PING_AFTER_MS || nowMs - state.pingedAtMs < PING_AFTER_MS)
    return { state: { ...aged, failures }, actions };
  return { state: { ...aged, failures, pingedAtMs: nowMs }, actions: [...actions, PING] };
}
