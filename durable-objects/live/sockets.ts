import type { ReaderState } from "../../core/live/hub.ts";
import type { Topic } from "../../core/live/protocol.ts";

/** Kept with each socket while the hub sleeps. At most 32 topics of 140 characters: far below the platform's 16 KB. */
export interface Attachment extends ReaderState {
  readonly id: string;
  readonly keyId: string;
}

/** A hub's WebSockets, which outlive its memory, and what must be known of each. */
export class Sockets {
  readonly #ctx: DurableObjectState;
  readonly #byId = new Map<string, WebSocket>();
  /** What was last kept, so that not every message costs a copy of it. */
  readonly #kept = new WeakMap<WebSocket, Attachment>();

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    for (const socket of ctx.getWebSockets()) this.#byId.set(this.of(socket).id, socket);
  }

  get size(): number {
    return this.#byId.size;
  }

  get all(): WebSocket[] {
    return [...this.#byId.values()];
  }

  /** Takes a new socket. */
  accept(socket: WebSocket, keyId: string): Attachment {
    const attachment: Attachment = { id: crypto.randomUUID(), keyId, acks: false, topics: [] };
    this.#ctx.acceptWebSocket(socket, [keyTag(keyId)]);
    this.#byId.set(attachment.id, socket);
    this.#write(socket, attachment);
    return attachment;
  }

  of(socket: WebSocket): Attachment {
    const known = this.#kept.get(socket);
    if (known !== undefined) return known;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only this file writes attachments
    const attachment = socket.deserializeAttachment() as Attachment | null;
    if (attachment === null) throw new Error("a socket of the hub has an attachment");
    this.#kept.set(socket, attachment);
    return attachment;
  }

  byId(id: string): WebSocket | undefined {
    return this.#byId.get(id);
  }

  withKey(keyId: string): WebSocket[] {
    return this.#ctx.getWebSockets(keyTag(keyId));
  }

  keyIds(): string[] {
    return [...new Set(this.all.map((socket) => this.of(socket).keyId))];
  }

  /** When the platform last answered a ping of this socket, epoch ms; 0 when it never has. */
  pingedAtMs(id: string): number {
    const socket = this.#byId.get(id);
    return socket === undefined ? 0 : (this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0);
  }

  forget(id: string): void {
    this.#byId.delete(id);
  }

  /** Keeps a socket's state, if it has changed. */
  keep(socket: WebSocket, state: ReaderState): void {
    const known = this.of(socket);
    if (known.acks === state.acks && isSame(known.topics, state.topics)) return;
    this.#write(socket, { ...known, ...state });
  }

  #write(socket: WebSocket, attachment: Attachment): void {
    socket.serializeAttachment(attachment);
    this.#kept.set(socket, attachment);
  }
}

function keyTag(keyId: string): string {
  return `key:${keyId}`;
}

function isSame(before: readonly Topic[], now: readonly Topic[]): boolean {
  return before.length === now.length && before.every((topic, index) => topic === now[index]);
}
