/** The live socket of this page: performs what the connection machine decides, and hands frames on four times a second. */
import { createConnection, type ConnectionAction, type ConnectionInput } from "../../core/live/connection-state.ts";
import { step, TICK_MS } from "../../core/live/connection.ts";
import { isUnauthorized } from "../session/api.ts";
import { ask, renewToken } from "../session/session.ts";
import { serverAheadMs } from "./clock.ts";
import { connection, TOPICS } from "./connection-signal.ts";
import { fields, text } from "./decode.ts";
import { queueFrame } from "./delivery.ts";
import { decodeFrame } from "./frame.ts";

let socket: WebSocket | null = null;

/** Open the connection; it comes back by itself until `stopFeed`. */
export function startFeed(): void {
  tell({ type: "start" });
}

/** Close the connection and forget what was received. */
export function stopFeed(): void {
  tell({ type: "stop" });
  connection.value = { ...createConnection(TOPICS, Date.now()), attempt: connection.peek().attempt };
}

/** Tell the connection that something happened. */
export function tell(input: ConnectionInput): void {
  const { state, actions } = step(connection.peek(), input, { nowMs: Date.now(), random: Math.random() });
  connection.value = state;
  for (const action of actions) perform(action);
}

/** Let the connection know of time, of the network and of being looked at. Call once. */
export function watchSurroundings(): void {
  setInterval(() => tell({ type: "tick" }), TICK_MS);
  window.addEventListener("online", () => tell({ type: "wake" }));
  window.addEventListener("pageshow", () => tell({ type: "wake" }));
  document.addEventListener("visibilitychange", () => tell({ type: document.hidden ? "hidden" : "visible" }));
  if (document.hidden) tell({ type: "hidden" });
}

function perform(action: ConnectionAction): void {
  switch (action.type) {
    case "fetch_ticket":
      return void fetchTicket(action.attempt, action.renew);
    case "open":
      return open(action.attempt, action.ticket);
    case "send":
      return sendFrame(JSON.stringify(action.message));
    case "close":
      return close();
    case "apply":
      return queueFrame({ topic: action.topic, kind: action.kind, data: action.data });
  }
}

async function fetchTicket(attempt: number, renew: boolean): Promise<void> {
  try {
    if (renew) await renewToken();
    const answer = fields(await ask({ method: "POST", path: "/api/v1/tickets" }));
    tell({ type: "ticket", attempt, ticket: text(answer?.["ticket"]) });
  } catch (failure) {
    tell({ type: "ticket_failed", attempt, reason: isUnauthorized(failure) ? "unauthorized" : "unavailable" });
  }
}

function open(attempt: number, ticket: string): void {
  const address = new URL(`/ws/live?ticket=${encodeURIComponent(ticket)}`, window.location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const opening = new WebSocket(address);
  socket = opening;
  opening.addEventListener("open", () => tell({ type: "opened", attempt }));
  opening.addEventListener("close", (event) => tell({ type: "closed", attempt, code: event.code }));
  opening.addEventListener("message", (event) => {
    const { frame, serverTimeMs } = decodeFrame(event.data);
    if (serverTimeMs !== null) serverAheadMs.value = serverTimeMs - Date.now();
    tell({ type: "frame", attempt, frame });
  });
}

function sendFrame(message: string): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(message);
}

function close(): void {
  socket?.close();
  socket = null;
}
