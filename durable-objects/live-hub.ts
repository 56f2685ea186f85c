import { DurableObject } from "cloudflare:workers";
import { liveNodeOf, tenantOf } from "../core/events/names.ts";
import { parseClientFrame } from "../core/live/client-frame.ts";
import type { Outgoing } from "../core/live/delivery.ts";
import { Hub } from "../core/live/hub.ts";
import { FAN_OUT_LIMITS, type FanOutLimits, type NodeReport } from "../core/live/node-book.ts";
import {
  CLOSE_TOO_MANY_FRAMES,
  isTopic,
  MAX_CLIENT_FRAME_LENGTH,
  PING_TEXT,
  PONG_TEXT,
} from "../core/live/protocol.ts";
import type { Interest, PublishedFrame, Topic } from "../core/live/protocol.ts";
import { logFailure } from "./failure-log.ts";
import { Node } from "./live/node.ts";
import { CHECK_EVERY_MS, Root } from "./live/root.ts";
import { Sockets } from "./live/sockets.ts";
import { liveSources } from "./live/sources.ts";
import type { LiveSources } from "./live/sources.ts";
import type { HubShell, Supply } from "./live/supply.ts";
import { Watch } from "./live/watch.ts";
import { UsedTickets } from "./live/used-tickets.ts";

/** RFC 6455 section 7.4.1. */
const CLOSE_NORMAL = 1000;
const CLOSE_TOO_BIG = 1009;
/** They only say how a connection ended, and may not be sent (same section). */
const CODES_NEVER_SENT: ReadonlySet<number> = new Set([1005, 1006, 1015]);

/**
 * Fans a tenant's topics out to WebSockets. The sockets outlive the hub's memory: it may sleep whenever nothing is due, and
 * wakes with a new epoch, so that readers start from a snapshot once something changes. What to send to whom is
 * core/live/hub.ts; this shell owns sockets and timers. By its name it is the root, which asks the sources, or a node with
 * more sockets, which is fed by the root.
 */
export class LiveHub extends DurableObject<Env> {
  /** Where topics come from. A test may stand in for it. */
  sources: LiveSources;
  readonly #tenant: string;
  readonly #hub: Hub;
  readonly #sockets: Sockets;
  readonly #root: Root | null;
  readonly #node: Node | null;
  readonly #supply: Supply;
  readonly #tickets: UsedTickets | null;
  readonly #watch: Watch;
  #limits = FAN_OUT_LIMITS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs: number | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const node = liveNodeOf(ctx.id.name);
    this.#tenant = tenantOf(ctx.id.name);
    this.sources = liveSources(env, this.#tenant);
    this.#hub = new Hub(node === 0 ? crypto.randomUUID().slice(0, 8) : "");
    this.#sockets = new Sockets(ctx);
    const shell: HubShell = {
      hub: this.#hub,
      socketCount: () => this.#sockets.size,
      flush: () => this.#flush(),
      background: (what, work) => this.#background(what, work),
    };
    const { sql } = ctx.storage;
    this.#root =
      node === 0 ? new Root({ ...shell, env, tenant: this.#tenant, sql, sources: () => this.sources }) : null;
    this.#node = node === 0 ? null : new Node({ ...shell, env, tenant: this.#tenant, node });
    this.#supply = this.#root ?? nodeRequired(this.#node);
    this.#tickets = node === 0 ? new UsedTickets(sql) : null;
    this.#watch = new Watch(this.#hub, this.#sockets, (socket, code, reason) => this.#close(socket, code, reason));
    // Answered by the platform: a page that asks every few seconds must not wake the hub.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING_TEXT, PONG_TEXT));
    for (const socket of this.#sockets.all) {
      const attachment = this.#sockets.of(socket);
      this.#hub.join(attachment.id, Date.now(), attachment);
    }
  }

  /** How many sockets there may be. A test may lower it. */
  set limits(limits: FanOutLimits) {
    this.#limits = limits;
    if (this.#root !== null) this.#root.book.limits = limits;
  }

  /** Answers, and that is all: `GET /ready` asks whether Durable Objects do. */
  ready(): boolean {
    return true;
  }

  /** Takes what changed from a source. */
  publish(frames: readonly PublishedFrame[]): void {
    this.#asRoot().noteMissed(frames);
    this.#hub.publish(frames, Date.now());
    this.#flush();
  }

  /** What the hub wants to hear of: for a source that woke and has forgotten. */
  interest(): Interest {
    return this.#asRoot().interest();
  }

  /** Closes every socket that was opened with this key, here and on the nodes. */
  async revoke(keyId: string): Promise<void> {
    this.#watch.closeKey(keyId);
    await this.#root?.revoke(keyId);
  }

  /** Uses up a ticket. @returns false when it was used before */
  useTicket(id: string, expiresAtMs: number): boolean {
    return this.#tickets?.use(id, expiresAtMs, Date.now()) ?? false;
  }

  /** A node wants the state of topics and what follows. @returns the epoch */
  async nodeFollows(node: number, topics: readonly Topic[]): Promise<string> {
    this.#asRoot().follow(node, topics);
    await this.#armAlarm();
    return this.#hub.epoch;
  }

  /** A node says how it is, and which topics it follows now: no others. @returns the epoch */
  async nodeReports(node: number, report: NodeReport, topics: readonly Topic[]): Promise<string> {
    this.#asRoot().report(node, report, topics);
    await this.#armAlarm();
    return this.#hub.epoch;
  }

  /** The root's frames, for a node. */
  feed(epoch: string, texts: readonly string[]): void {
    nodeRequired(this.#node).feed(epoch, texts);
  }

  /** What `GET /metrics` shows: of this object, and at the root of all. Counts begin anew when an object wakes. */
  async figures(): Promise<Record<string, number>> {
    const { frames, conflated, gaps } = this.#hub.sent;
    const own = { sockets: this.#sockets.size, frames_sent: frames, frames_conflated: conflated, gaps };
    const nodes = (await this.#root?.nodeFigures()) ?? [];
    const sum = Object.entries(own).map(([name, value]) => [
      name,
      nodes.reduce((total, figures) => total + (figures[name] ?? 0), value),
    ]);
    return { ...Object.fromEntries(sum), nodes: this.#root?.book.nodes.length ?? 0 };
  }

  /**
   * Opens a socket; called by the Worker, which has checked the credential. `topics` are subscribed to at once.
   * Answers 421 with the number of the node to go to when there is no room here, and 429 when there is none anywhere.
   */
  override async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url);
    const keyId = searchParams.get("key_id");
    // The object's name is the tenant's; a caller that means another one has a bug, and must not get this one's data.
    if (searchParams.get("tenant") !== this.#tenant || keyId === null) return new Response(null, { status: 403 });
    const elsewhere = this.#placeElsewhere();
    if (elsewhere !== null) return elsewhere;
    const [client, server] = Object.values(new WebSocketPair());
    if (client === undefined || server === undefined) throw new Error("a pair has two sockets");
    const { id } = this.#sockets.accept(server, keyId);
    this.#hub.join(id, Date.now());
    for (const topic of searchParams.getAll("topic").filter(isTopic)) {
      this.#hub.receive(id, { type: "subscribe", topic }, Date.now());
    }
    this.#keepState(server);
    this.#supply.socketsChanged(searchParams.get("pass") ?? undefined);
    this.#flush();
    await this.#armAlarm();
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const { id, acks } = this.#sockets.of(socket);
    const now = Date.now();
    if (!this.#hub.admit(id, now)) return this.#close(socket, CLOSE_TOO_MANY_FRAMES, "too many frames");
    if (typeof message !== "string") {
      this.#hub.refuse(id, { type: "error", error: "bad_request", message: "A frame must be text." });
      return this.#flush();
    }
    if (message.length > MAX_CLIENT_FRAME_LENGTH) return this.#close(socket, CLOSE_TOO_BIG, "the frame is too long");
    const parsed = parseClientFrame(message);
    if (parsed.ok) this.#hub.receive(id, parsed.frame, now);
    else this.#hub.refuse(id, { type: "error", error: "bad_request", message: parsed.message });
    // Most frames are acks, which change nothing that is kept but for the first.
    if (!parsed.ok || parsed.frame.type !== "ack" || !acks) this.#keepState(socket);
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

  /** Renews interest and closes sockets whose keys are gone. Runs while there are sockets, here or on nodes. */
  override async alarm(): Promise<void> {
    if (!this.#supply.hasWork) return;
    try {
      this.#watch.hearPings();
      this.#watch.closeUnheard();
      await this.#supply.check();
      await this.#watch.closeRevoked(this.sources);
      this.#flush();
    } catch (error) {
      logFailure(this.ctx.id.name, "alarm", error);
    } finally {
      await this.ctx.storage.setAlarm(Date.now() + CHECK_EVERY_MS);
    }
  }

  /** A node is full when it is; the root knows of other room. */
  #placeElsewhere(): Response | null {
    if (this.#root === null) {
      return this.#sockets.size < this.#limits.socketsPerObject ? null : new Response(null, { status: 429 });
    }
    const pass = crypto.randomUUID();
    const placement = this.#root.place(pass);
    if (placement === "here") return null;
    if (placement === "full") return new Response(null, { status: 429 });
    return new Response(null, { status: 421, headers: { "Live-Node": String(placement.node), "Live-Pass": pass } });
  }

  #leave(socket: WebSocket): void {
    const { id } = this.#sockets.of(socket);
    this.#sockets.forget(id);
    this.#hub.leave(id, Date.now());
    this.#supply.socketsChanged();
  }

  #close(socket: WebSocket, code: number, reason: string): void {
    this.#leave(socket);
    socket.close(code, reason);
  }

  #keepState(socket: WebSocket): void {
    const state = this.#hub.stateOf(this.#sockets.of(socket).id);
    if (state !== null) this.#sockets.keep(socket, state);
  }

  /** Sends what is due, fetches what is wanted, and sets the timer for what will be due. */
  #flush(): void {
    for (const frame of this.#hub.takeOutbox()) if (this.#root?.route(frame) !== true) this.#send(frame);
    for (const id of this.#hub.takeEnded()) {
      const socket = this.#sockets.byId(id);
      if (socket !== undefined) this.#keepState(socket);
    }
    this.#root?.pump();
    const now = Date.now();
    const wanted = this.#hub.takeRequests(now);
    if (wanted.length > 0) this.#background("request", this.#supply.request(wanted));
    this.#setTimer(this.#hub.nextTickMs(), now);
  }

  #setTimer(nextMs: number | null, nowMs: number): void {
    if (nextMs === this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = nextMs;
    if (nextMs === null) return;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, nextMs - nowMs));
  }

  #tick(): void {
    this.#timerAtMs = null;
    this.#watch.hearPings();
    this.#hub.tick(Date.now());
    this.#flush();
  }

  #send({ to, text }: Outgoing): void {
    const socket = this.#sockets.byId(to);
    if (socket === undefined) return;
    try {
      socket.send(text);
    } catch {
      // It broke without a close event yet; that event, if it comes, finds nothing left to do.
      this.#leave(socket);
    }
  }

  async #armAlarm(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now() + CHECK_EVERY_MS);
  }

  #asRoot(): Root {
    if (this.#root === null) throw new Error("a node is not asked what only the root knows");
    return this.#root;
  }

  #background(what: string, work: Promise<void>): void {
    this.ctx.waitUntil(work.catch((error: unknown) => logFailure(this.ctx.id.name, what, error)));
  }
}

function nodeRequired(node: Node | null): Node {
  if (node === null) throw new Error("the root is not fed");
  return node;
}
