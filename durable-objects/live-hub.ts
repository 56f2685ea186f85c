import { DurableObject } from "cloudflare:workers";
import { tenantOf } from "../core/events/names.ts";
import { parseClientFrame } from "../core/live/client-frame.ts";
import { Hub } from "../core/live/hub.ts";
import {
  CLOSE_REVOKED,
  CLOSE_TOO_MANY_FRAMES,
  isTopic,
  MAX_CLIENT_FRAME_LENGTH,
  PING_TEXT,
  PONG_TEXT,
} from "../core/live/protocol.ts";
import type { Interest, PublishedFrame, Topic } from "../core/live/protocol.ts";
import { liveSources } from "./live/sources.ts";
import type { LiveSources } from "./live/sources.ts";
import { UsedTickets } from "./live/used-tickets.ts";

/** Sockets per tenant. The platform's limit is 32,768; a frame visits each, and memory is 128 MB. */
export const MAX_SOCKETS_PER_TENANT = 1_000;
/** While there are sockets, interest is renewed and keys are looked at this often. Each time is a row written. */
const CHECK_EVERY_MS = 20_000;
/** Interest lasts longer than that, so that one check that fails costs nothing. */
const INTEREST_MS = 60_000;
/** RFC 6455 section 7.4.1. */
const CLOSE_NORMAL = 1000;
const CLOSE_TOO_BIG = 1009;
/** They only say how a connection ended, and may not be sent (same section). */
const CODES_NEVER_SENT: ReadonlySet<number> = new Set([1005, 1006, 1015]);

/** Kept with each socket while the hub sleeps. At most 32 topics of 140 characters: far below the platform's 16 KB. */
interface Attachment {
  readonly id: string;
  readonly keyId: string;
  readonly acks: boolean;
  readonly topics: readonly Topic[];
}

/**
 * Fans a tenant's topics out to WebSockets. The sockets outlive the hub's memory: it may sleep whenever nothing is due, and
 * wakes with a new epoch, so that readers start from a snapshot once something changes. What to send to whom is
 * core/live/hub.ts; this shell owns sockets, timers and the questions to the sources.
 */
export class LiveHub extends DurableObject<Env> {
  /** Where topics come from. A test may stand in for it. */
  sources: LiveSources;
  readonly #tenant: string;
  readonly #hub: Hub;
  readonly #sockets = new Map<string, WebSocket>();
  readonly #tickets: UsedTickets;
  #interest: Interest = { topics: [], untilMs: 0 };
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#tenant = tenantOf(ctx.id.name);
    this.sources = liveSources(env, this.#tenant);
    this.#tickets = new UsedTickets(ctx.storage.sql);
    this.#hub = new Hub(crypto.randomUUID().slice(0, 8));
    // Answered by the platform: a page that asks every few seconds must not wake the hub.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING_TEXT, PONG_TEXT));
    for (const socket of ctx.getWebSockets()) this.#restore(socket);
  }

  /** Answers, and that is all: `GET /ready` asks whether Durable Objects do. */
  ready(): boolean {
    return true;
  }

  /** Takes what changed from a source. */
  publish(frames: readonly PublishedFrame[]): void {
    this.#hub.publish(frames, Date.now());
    this.#flush();
  }

  /** What the hub wants to hear of: for a source that woke and has forgotten. */
  interest(): Interest {
    return { topics: this.#hub.followedTopics(Date.now()), untilMs: Date.now() + INTEREST_MS };
  }

  /** Closes every socket that was opened with this key. */
  revoke(keyId: string): void {
    for (const socket of this.ctx.getWebSockets(keyTag(keyId)))
      this.#close(socket, CLOSE_REVOKED, "the key was revoked");
  }

  /** Uses up a ticket. @returns false when it was used before */
  useTicket(id: string, expiresAtMs: number): boolean {
    return this.#tickets.use(id, expiresAtMs, Date.now());
  }

  /** Opens a socket; called by the Worker, which has checked the credential. `topics` are subscribed to at once. */
  override async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url);
    const keyId = searchParams.get("key_id");
    // The object's name is the tenant's; a caller that means another one has a bug, and must not get this one's data.
    if (searchParams.get("tenant") !== this.#tenant || keyId === null) return new Response(null, { status: 403 });
    if (this.#sockets.size >= MAX_SOCKETS_PER_TENANT) return new Response(null, { status: 429 });
    const [client, server] = Object.values(new WebSocketPair());
    if (client === undefined || server === undefined) throw new Error("a pair has two sockets");
    const attachment: Attachment = { id: crypto.randomUUID(), keyId, acks: false, topics: [] };
    this.ctx.acceptWebSocket(server, [keyTag(keyId)]);
    this.#sockets.set(attachment.id, server);
    this.#hub.join(attachment.id, Date.now());
    for (const topic of searchParams.getAll("topic").filter(isTopic)) {
      this.#hub.receive(attachment.id, { type: "subscribe", topic }, Date.now());
    }
    this.#keepState(server, attachment);
    this.#flush();
    await this.#armAlarm();
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const attachment = attachmentOf(socket);
    const now = Date.now();
    if (!this.#hub.admit(attachment.id, now)) return this.#close(socket, CLOSE_TOO_MANY_FRAMES, "too many frames");
    if (typeof message !== "string") {
      this.#hub.refuse(attachment.id, { type: "error", error: "bad_request", message: "A frame must be text." });
      return this.#flush();
    }
    if (message.length > MAX_CLIENT_FRAME_LENGTH) return this.#close(socket, CLOSE_TOO_BIG, "the frame is too long");
    const parsed = parseClientFrame(message);
    if (parsed.ok) this.#hub.receive(attachment.id, parsed.frame, now);
    else this.#hub.refuse(attachment.id, { type: "error", error: "bad_request", message: parsed.message });
    this.#keepState(socket, attachment);
    return this.#flush();
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    this.#leave(socket);
    // The other side of the closing handshake; without it the client sees an abnormal end (1006).
    socket.close(CODES_NEVER_SENT.has(code) ? CLOSE_NORMAL : code, reason);
  }

  override webSocketError(socket: WebSocket): void {
    this.#leave(socket);
  }

  /** Renews interest and closes sockets whose keys are gone. Runs while there are sockets. */
  override async alarm(): Promise<void> {
    if (this.#sockets.size === 0) return;
    try {
      await this.#renewInterest();
      await this.#closeRevoked();
    } catch (error) {
      this.#report("alarm", error);
    } finally {
      await this.ctx.storage.setAlarm(Date.now() + CHECK_EVERY_MS);
    }
  }

  #restore(socket: WebSocket): void {
    const attachment = attachmentOf(socket);
    this.#sockets.set(attachment.id, socket);
    this.#hub.join(attachment.id, Date.now(), attachment);
  }

  #leave(socket: WebSocket): void {
    const { id } = attachmentOf(socket);
    this.#sockets.delete(id);
    this.#hub.leave(id, Date.now());
  }

  #close(socket: WebSocket, code: number, reason: string): void {
    this.#leave(socket);
    socket.close(code, reason);
  }

  #keepState(socket: WebSocket, known: Attachment): void {
    const state = this.#hub.stateOf(known.id);
    if (state === null) return;
    const next: Attachment = { ...known, ...state };
    if (JSON.stringify(next) !== JSON.stringify(attachmentOfOrNull(socket))) socket.serializeAttachment(next);
  }

  /** Sends what is due, fetches what is wanted, and sets the timer for what will be due. */
  #flush(): void {
    for (const { to, text } of this.#hub.takeOutbox()) this.#send(to, text);
    const now = Date.now();
    for (const topic of this.#hub.takeRequests(now)) this.ctx.waitUntil(this.#fetchSnapshot(topic));
    clearTimeout(this.#timer);
    const next = this.#hub.nextTickMs();
    if (next === null) return;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, next - now));
  }

  #tick(): void {
    this.#hub.tick(Date.now());
    this.#flush();
  }

  #send(id: string, text: string): void {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return;
    try {
      socket.send(text);
    } catch {
      // It broke without a close event yet; that event, if it comes, finds nothing left to do.
      this.#leave(socket);
    }
  }

  /** Interest first: whatever changes after the snapshot was taken must be reported. */
  async #fetchSnapshot(topic: Topic): Promise<void> {
    try {
      await this.#showInterest();
      const data = await this.sources.snapshot(topic);
      this.#hub.fetched(topic, data, Date.now());
      if (data === null) this.#keepAllStates();
    } catch (error) {
      this.#report(`snapshot of ${topic}`, error);
      this.#hub.fetchFailed(topic, Date.now());
    }
    this.#flush();
  }

  /** A topic that does not exist ends subscriptions without the client's doing. */
  #keepAllStates(): void {
    for (const socket of this.#sockets.values()) this.#keepState(socket, attachmentOf(socket));
  }

  async #showInterest(): Promise<void> {
    const topics = this.#hub.followedTopics(Date.now());
    const isKnown = topics.every((topic) => this.#interest.topics.includes(topic));
    if (isKnown && Date.now() + CHECK_EVERY_MS < this.#interest.untilMs) return;
    await this.#renewInterest();
  }

  async #renewInterest(): Promise<void> {
    const interest = this.interest();
    await this.sources.watch(interest.topics, interest.untilMs);
    this.#interest = interest;
  }

  async #closeRevoked(): Promise<void> {
    const keyIds = new Set([...this.#sockets.values()].map((socket) => attachmentOf(socket).keyId));
    const active = await this.sources.activeKeys([...keyIds]);
    for (const keyId of keyIds) if (!active.has(keyId)) this.revoke(keyId);
  }

  async #armAlarm(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now() + CHECK_EVERY_MS);
  }

  #report(what: string, error: unknown): void {
    const fields = { level: "error", event: "live_hub_failed", tenant: this.#tenant, what, error: String(error) };
    // oxlint-disable-next-line no-console -- the platform collects an object's log from the console
    console.error(JSON.stringify(fields));
  }
}

function keyTag(keyId: string): string {
  return `key:${keyId}`;
}

function attachmentOfOrNull(socket: WebSocket): Attachment | null {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only this file writes attachments
  return socket.deserializeAttachment() as Attachment | null;
}

function attachmentOf(socket: WebSocket): Attachment {
  const attachment = attachmentOfOrNull(socket);
  if (attachment === null) throw new Error("a socket of the hub has an attachment");
  return attachment;
}
