import { createConnection, isOpen } from "../core/live/connection-state.ts";
import type {
  ConnectionAction,
  ConnectionInput,
  ConnectionState,
  HeardFrame,
  Phase,
} from "../core/live/connection-state.ts";
import { TICK_MS, step } from "../core/live/connection.ts";
import { field, request } from "./api.ts";
import type { Target } from "./target.ts";

/** What the follower of topics wants to hear. */
export interface Listener {
  apply(kind: "snapshot" | "delta", topic: string, data: unknown): void;
  /** Told when the connection comes or goes. */
  onPhase(phase: Phase): void;
}

/**
 * Follows live topics until `stop` is called: the connection machine of core/live with a socket, a clock and timers.
 *
 * @returns `stop`; `refused` resolves when the platform does not accept the key
 */
export function follow(
  target: Target,
  topics: readonly string[],
  listener: Listener,
): { stop(): void; refused: Promise<void> } {
  const { promise: refused, resolve: refuse } = Promise.withResolvers<void>();
  let state: ConnectionState = createConnection(topics, Date.now());
  let socket: WebSocket | undefined;

  const put = (input: ConnectionInput): void => {
    const before = state.phase;
    const next = step(state, input, { nowMs: Date.now(), random: Math.random() });
    state = next.state;
    for (const action of next.actions) act(action);
    if (state.phase === before) return;
    listener.onPhase(state.phase);
    if (state.phase === "refused") refuse();
  };
  const act = (action: ConnectionAction): void => {
    switch (action.type) {
      case "fetch_ticket":
        return void fetchTicket(target).then((answer) => put({ ...answer, attempt: action.attempt }));
      case "open":
        return open(action.attempt, action.ticket);
      case "send":
        return isOpen(state) ? socket?.send(JSON.stringify(action.message)) : undefined;
      case "close":
        socket?.close();
        socket = undefined;
        return;
      case "apply":
        return listener.apply(action.kind, action.topic, action.data);
    }
  };
  const open = (attempt: number, ticket: string): void => {
    const opened = new WebSocket(`${target.url.replace(/^http/, "ws")}/ws/live?ticket=${encodeURIComponent(ticket)}`);
    socket = opened;
    opened.addEventListener("open", () => put({ type: "opened", attempt }));
    opened.addEventListener("message", ({ data }) => put({ type: "frame", attempt, frame: readFrame(String(data)) }));
    opened.addEventListener("close", ({ code }) => put({ type: "closed", attempt, code }));
    // Without a listener Node would end the process; the close event that follows says the same.
    opened.addEventListener("error", () => undefined);
  };
  const timer = setInterval(() => put({ type: "tick" }), TICK_MS);
  put({ type: "start" });
  return {
    refused,
    stop() {
      clearInterval(timer);
      put({ type: "stop" });
    },
  };
}

type TicketAnswer =
  | { type: "ticket"; ticket: string }
  | { type: "ticket_failed"; reason: "unauthorized" | "unavailable" };

async function fetchTicket(target: Target): Promise<TicketAnswer> {
  try {
    const reply = await request(target, "POST", "/api/v1/tickets");
    const ticket = field(field(reply.body, "data"), "ticket");
    if (typeof ticket === "string") return { type: "ticket", ticket };
    return {
      type: "ticket_failed",
      reason: reply.status === 401 || reply.status === 403 ? "unauthorized" : "unavailable",
    };
  } catch {
    return { type: "ticket_failed", reason: "unavailable" };
  }
}

function readFrame(text: string): HeardFrame {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    return { type: "other" };
  }
  const [type, topic, seq] = [field(frame, "type"), field(frame, "topic"), field(frame, "seq")];
  if (type === "gap") return { type, topic: typeof topic === "string" ? topic : null };
  if ((type !== "snapshot" && type !== "delta") || typeof topic !== "string" || typeof seq !== "string")
    return { type: "other" };
  return { type, topic, seq, data: field(frame, "data") };
}
