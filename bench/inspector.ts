// V8's inspector in a running workerd, by the Chrome DevTools protocol.
import { once } from "node:events";
import { field } from "../cli/api.ts";

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** A session with one isolate. A Worker and its Durable Objects share one. */
export class Inspector {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the protocol's own shape
      const answer = JSON.parse(String(data)) as Answer;
      if (answer.id === undefined) return;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  /** @param url  of the inspector, as Miniflare tells it  @param worker  its name */
  static async connect(url: string, worker: string): Promise<Inspector> {
    const at = new URL("/json", url.replace(/^ws/, "http"));
    const targets: unknown = await (await fetch(at)).json();
    const target = Array.isArray(targets)
      ? targets.find((candidate: unknown) => String(field(candidate, "id")).includes(worker))
      : undefined;
    if (target === undefined) throw new Error(`no isolate of ${worker} among ${JSON.stringify(targets)}`);
    const socket = new WebSocket(String(field(target, "webSocketDebuggerUrl")));
    await once(socket, "open");
    return new Inspector(socket);
  }

  /** @throws Error with the protocol's message when the isolate refuses */
  async send(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#last;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, resolve);
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await promise;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** In use on V8's heap and in buffers beside it, garbage included. */
  async heapBytes(): Promise<number> {
    const usage = await this.send("Runtime.getHeapUsage");
    return Number(field(usage, "usedSize")) + Number(field(usage, "backingStorageSize"));
  }

  async collectGarbage(): Promise<void> {
    await this.send("HeapProfiler.enable");
    await this.send("HeapProfiler.collectGarbage");
  }

  close(): void {
    this.#socket.close();
  }
}
