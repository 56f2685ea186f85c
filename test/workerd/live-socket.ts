import { exports } from "cloudflare:workers";
import { vi } from "vitest";
import type { DeltaFrame, ServerFrame, SnapshotFrame, Topic } from "../../core/live/protocol.ts";

const ORIGIN = "http://streamflow.test";

/** A live socket as a client sees it: every frame and the close, in order of arrival. */
export class LiveSocket {
  readonly frames: ServerFrame[] = [];
  closed: { code: number; reason: string } | null = null;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the test's own codec
      this.frames.push(JSON.parse(String(data)) as ServerFrame);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
    });
    socket.accept();
  }

  get types(): string[] {
    return this.frames.map((frame) => frame.type);
  }

  send(frame: object | string | ArrayBuffer): void {
    const isRaw = typeof frame === "string" || frame instanceof ArrayBuffer;
    this.#socket.send(isRaw ? frame : JSON.stringify(frame));
  }

  subscribe(topic: Topic, after?: string): void {
    this.send(after === undefined ? { type: "subscribe", topic } : { type: "subscribe", topic, after });
  }

  close(): void {
    this.#socket.close(1000, "done");
  }

  /** Waits until there are `count` frames and gives the last one. */
  async frame(count: number): Promise<ServerFrame> {
    return await vi.waitFor(() => {
      const frame = this.frames[count - 1];
      if (frame === undefined)
        throw new Error(`only ${this.frames.length} of ${count} frames came: ${JSON.stringify(this.frames)}`);
      return frame;
    }, WAIT);
  }

  async snapshot(count: number): Promise<SnapshotFrame> {
    const frame = await this.frame(count);
    if (frame.type !== "snapshot") throw new Error(`not a snapshot: ${JSON.stringify(frame)}`);
    return frame;
  }

  async delta(count: number): Promise<DeltaFrame> {
    const frame = await this.frame(count);
    if (frame.type !== "delta") throw new Error(`not a delta: ${JSON.stringify(frame)}`);
    return frame;
  }

  async closing(): Promise<{ code: number; reason: string }> {
    return await vi.waitFor(() => {
      if (this.closed === null) throw new Error("still open");
      return this.closed;
    }, WAIT);
  }
}

const WAIT = { timeout: 5_000, interval: 10 };

/** Asks for a socket. @returns the response, whatever it is */
export async function upgrade(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return await exports.default.fetch(`${ORIGIN}${path}`, { headers: { Upgrade: "websocket", ...headers } });
}

/** Opens a socket with a Bearer key. */
export async function openLive(key: string, path = "/ws/live"): Promise<LiveSocket> {
  return socketOf(await upgrade(path, { Authorization: `Bearer ${key}` }));
}

/** The socket of an upgrade that worked. */
export function socketOf(response: Response): LiveSocket {
  if (response.webSocket === null) throw new Error(`no socket: ${response.status}`);
  return new LiveSocket(response.webSocket);
}
