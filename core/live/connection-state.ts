import { UNKNOWN_PLACE, type SubscribeRequest, type TopicPlace } from "./connection-topics.ts";

export type Phase = "idle" | "ticket" | "opening" | "live" | "stale" | "backoff" | "paused" | "refused";

export interface ConnectionState {
  readonly phase: Phase;
  /** Number of the current try. What an older try reports is ignored. */
  readonly attempt: number;
  readonly failures: number;
  /** When the phase began, epoch ms. */
  readonly sinceMs: number;
  /** Last frame or pong, epoch ms; 0 before the first. */
  readonly heardAtMs: number;
  readonly pingedAtMs: number;
  readonly tickedAtMs: number;
  /** When the present outage began, epoch ms; null while connected. */
  readonly lostAtMs: number | null;
  /** When the next try starts, epoch ms; set in `backoff` only. */
  readonly retryAtMs: number | null;
  readonly hiddenAtMs: number | null;
  /** The next ticket needs a new token: the old one was refused. */
  readonly renew: boolean;
  readonly topics: Readonly<Record<string, TopicPlace>>;
}

/** A frame from the server, already checked. */
export type HeardFrame =
  | { readonly type: "snapshot"; readonly topic: string; readonly seq: string; readonly data: unknown }
  | { readonly type: "delta"; readonly topic: string; readonly seq: string; readonly data: unknown }
  | { readonly type: "gap"; readonly topic: string | null }
  | { readonly type: "other" };

/** Something that happened to the connection. */
export type ConnectionInput =
  | { readonly type: "start" | "stop" | "retry" | "tick" | "wake" | "hidden" | "visible" }
  | { readonly type: "ticket"; readonly attempt: number; readonly ticket: string }
  | { readonly type: "ticket_failed"; readonly attempt: number; readonly reason: "unauthorized" | "unavailable" }
  | { readonly type: "opened"; readonly attempt: number }
  | { readonly type: "frame"; readonly attempt: number; readonly frame: HeardFrame }
  | { readonly type: "closed"; readonly attempt: number; readonly code: number }
  | { readonly type: "subscribe" | "unsubscribe"; readonly topic: string };

/** Something that the one who holds the socket has to do, in the order given. */
export type ConnectionAction =
  | { readonly type: "fetch_ticket"; readonly attempt: number; readonly renew: boolean }
  | { readonly type: "open"; readonly attempt: number; readonly ticket: string }
  | {
      readonly type: "send";
      readonly message:
        | SubscribeRequest
        | { type: "unsubscribe"; topic: string }
        | { type: "ack"; topic: string; seq: string }
        | { type: "ping" };
    }
  | { readonly type: "close" }
  | { readonly type: "apply"; readonly kind: "snapshot" | "delta"; readonly topic: string; readonly data: unknown };

/** What an input led to. */
export interface Step {
  readonly state: ConnectionState;
  readonly actions: readonly ConnectionAction[];
}

/** What a step may know beside its input. */
export interface StepContext {
  /** Epoch ms; may repeat or jump. */
  readonly nowMs: number;
  /** 0 inclusive to 1 exclusive, drawn for each step. */
  readonly random: number;
}

/** A connection that has not started; `topics` are subscribed as soon as it is open. */
export function createConnection(topics: readonly string[], nowMs: number): ConnectionState {
  return {
    phase: "idle",
    attempt: 0,
    failures: 0,
    sinceMs: nowMs,
    heardAtMs: 0,
    pingedAtMs: 0,
    tickedAtMs: nowMs,
    lostAtMs: null,
    retryAtMs: null,
    hiddenAtMs: null,
    renew: false,
    topics: Object.fromEntries(topics.map((topic) => [topic, UNKNOWN_PLACE])),
  };
}

/** A step that changes nothing but the state given. */
export function unchanged(state: ConnectionState): Step {
  return { state, actions: [] };
}

/** Is there a socket that frames can come through? */
export function isOpen(state: ConnectionState): boolean {
  return state.phase === "live" || state.phase === "stale";
}

/** The state as it enters a phase. */
export function enter(state: ConnectionState, phase: Phase, { nowMs }: StepContext): ConnectionState {
  return { ...state, phase, sinceMs: nowMs, retryAtMs: null };
}
