import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

const OPCODE_TEXT = 1;
const OPCODE_CLOSE = 8;

/**
 * A WebSocket client over a plain TCP socket (RFC 6455), because the built-in one always reads: this one can stop, so that
 * its buffers and the server's fill. No extensions, no fragments.
 */
export class RawSocket {
  /** Called with the payload of each text frame. It is valid only during the call. */
  onText: (payload: Buffer) => void = () => undefined;
  /** Close code, once closed by the server; 1006 when the connection just ended. */
  closeCode: number | null = null;
  readonly #socket: Socket;
  #rest: Buffer<ArrayBufferLike>;

  private constructor(socket: Socket, rest: Buffer<ArrayBufferLike>) {
    this.#socket = socket;
    this.#rest = rest;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => (this.closeCode ??= 1006));
  }

  /** @param url http://host:port @throws Error when the answer is not 101 */
  static async open(url: string, path: string, key: string): Promise<RawSocket> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.setNoDelay(true);
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: ${hostname}:${port}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      `Authorization: Bearer ${key}`,
    ];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    const rest = await readHead(socket);
    return new RawSocket(socket, rest);
  }

  send(text: string): void {
    const payload = Buffer.from(text);
    if (payload.length > 125) throw new Error("only short frames are sent here");
    const mask = randomBytes(4);
    const frame = Buffer.alloc(6 + payload.length);
    frame[0] = 0x80 | OPCODE_TEXT;
    frame[1] = 0x80 | payload.length;
    mask.copy(frame, 2);
    for (let at = 0; at < payload.length; at++) frame[6 + at] = (payload[at] ?? 0) ^ (mask[at % 4] ?? 0);
    this.#socket.write(frame);
  }

  /** Reads nothing more, until `resume`. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (let frame = readFrame(data); frame !== null; frame = readFrame(data)) {
      if (frame.opcode === OPCODE_TEXT) this.onText(frame.payload);
      if (frame.opcode === OPCODE_CLOSE)
        this.closeCode ??= frame.payload.length >= 2 ? frame.payload.readUInt16BE(0) : 1005;
      data = data.subarray(frame.end);
    }
    this.#rest = data.length === 0 ? data : Buffer.from(data);
  }
}

/** Reads the answer's head. @returns what came behind it */
async function readHead(socket: Socket): Promise<Buffer<ArrayBufferLike>> {
  return await new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.off("data", onData);
      socket.off("error", reject);
      const status = head.subarray(0, head.indexOf("\r\n")).toString("latin1");
      if (status.startsWith("HTTP/1.1 101")) resolve(head.subarray(end + 4));
      else reject(new Error(`no socket: ${status}`));
    };
    socket.on("data", onData);
    socket.on("error", reject);
  });
}

function readFrame(
  data: Buffer<ArrayBufferLike>,
): { opcode: number; payload: Buffer<ArrayBufferLike>; end: number } | null {
  const [first, second] = data;
  if (first === undefined || second === undefined) return null;
  const short = second & 0x7f;
  const head = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (data.length < head) return null;
  const length = short === 126 ? data.readUInt16BE(2) : short === 127 ? Number(data.readBigUInt64BE(2)) : short;
  if (data.length < head + length) return null;
  return { opcode: first & 0x0f, payload: data.subarray(head, head + length), end: head + length };
}
