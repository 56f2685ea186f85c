import { connect } from "cloudflare:sockets";
import { renderEmail } from "../../core/alerts/channels/email.ts";
import type { SmtpTarget } from "../../core/alerts/channels/email.ts";
import { readNotification } from "../../core/alerts/notification.ts";
import { SmtpConversation } from "../../core/alerts/smtp.ts";
import type { MailSecurity, SmtpAction } from "../../core/alerts/smtp.ts";
import type { Attempted } from "../../core/alerts/delivery.ts";
import type { ChannelMessage } from "./sign.ts";

/** Mail servers greet slowly on purpose; a conversation that takes longer is given up. */
const TIMEOUT_MS = 20_000;

/** A connection to a mail server. */
export interface Wire {
  /** @returns null at the end */
  readonly read: () => Promise<Uint8Array | null>;
  readonly write: (bytes: Uint8Array) => Promise<void>;
  readonly startTls: () => void;
  readonly close: () => Promise<void>;
}

/** Opens a connection. */
export type Dial = (host: string, port: number, security: MailSecurity) => Wire;

/** Hands a mail to its server once. Never throws for what the server does. */
export async function sendMail(
  target: SmtpTarget,
  { id, body }: ChannelMessage,
  nowMs: number,
  dial: Dial = dialSocket,
): Promise<{ readonly attempted: Attempted; readonly error: string | null }> {
  const conversation = new SmtpConversation(renderEmail(target, id, readNotification(body), nowMs));
  let wire: Wire | null = null;
  const timer = Promise.withResolvers<"late">();
  const timeout = setTimeout(() => timer.resolve("late"), TIMEOUT_MS);
  try {
    wire = dial(target.host, target.port, target.security);
    const end = await Promise.race([converse(wire, conversation), timer.promise]);
    return end === "late" ? unanswered(`no end within ${TIMEOUT_MS / 1000} s`) : outcomeOf(end);
  } catch (error) {
    return unanswered(`no connection: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    clearTimeout(timeout);
    // Nobody waits for the line to go dead.
    void wire?.close().catch(() => {});
  }
}

type End = Extract<SmtpAction, { do: "done" | "fail" }>;

/** Carries the conversation to its end. */
async function converse(wire: Wire, conversation: SmtpConversation): Promise<End> {
  const decoder = new TextDecoder();
  for (;;) {
    const bytes = await wire.read();
    const heard =
      bytes === null ? conversation.closed() : conversation.receive(decoder.decode(bytes, { stream: true }));
    for (const action of heard) {
      const end = await perform(action, wire, conversation);
      if (end !== null) return end;
    }
  }
}

async function perform(action: SmtpAction, wire: Wire, conversation: SmtpConversation): Promise<End | null> {
  switch (action.do) {
    case "write":
      await wire.write(new TextEncoder().encode(action.text));
      return null;
    case "start_tls":
      wire.startTls();
      for (const next of conversation.secured()) await perform(next, wire, conversation);
      return null;
    case "done":
    case "fail":
      // It is over either way; a server that does not hear the farewell will live.
      await wire.write(new TextEncoder().encode("QUIT\r\n")).catch(() => {});
      return action;
  }
}

function outcomeOf(end: End): { readonly attempted: Attempted; readonly error: string | null } {
  if (end.do === "done") {
    const error = end.refused.length === 0 ? null : `not taken for ${end.refused.join("; ")}`;
    return { attempted: { kind: "answered", status: 250, retryAfter: null }, error };
  }
  if (end.isTransient) return unanswered(end.reason);
  return { attempted: { kind: "refused", error: end.reason }, error: end.reason };
}

function unanswered(error: string): { readonly attempted: Attempted; readonly error: string } {
  return { attempted: { kind: "unanswered", error }, error };
}

const TRANSPORTS = { tls: "on", starttls: "starttls", none: "off" } as const;

/** A TCP socket of the Workers runtime, which checks certificates against the host's name. */
function dialSocket(hostname: string, port: number, security: MailSecurity): Wire {
  let socket = connect({ hostname, port }, { secureTransport: TRANSPORTS[security], allowHalfOpen: false });
  let reader = socket.readable.getReader();
  let writer = socket.writable.getWriter();
  return {
    read: async () => {
      const { done, value } = await reader.read();
      if (done) return null;
      return value instanceof Uint8Array ? value : new Uint8Array(value);
    },
    write: async (bytes) => await writer.write(bytes),
    startTls: () => {
      reader.releaseLock();
      writer.releaseLock();
      socket = socket.startTls();
      reader = socket.readable.getReader();
      writer = socket.writable.getWriter();
    },
    close: async () => await socket.close(),
  };
}
