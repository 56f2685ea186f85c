import { readAnswer } from "./answer.ts";
import type { Answer } from "./answer.ts";
import { messageOf } from "./event.ts";
import type { Entry } from "./event.ts";
import type { Settings } from "./options.ts";

/** Bodies that may outlive their page: browsers allow 64 KiB for all of a page's together. */
export const MAX_KEEPALIVE_BYTES = 60_000;

/** Posts events and reads what came of it. Never throws: no answer is an answer to be read too. */
export class Transport {
  readonly #settings: Settings;
  readonly #requests = new Set<AbortController>();
  #hasGzip = typeof CompressionStream !== "undefined";

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** @param keepalive the request goes on when its page is gone; at most MAX_KEEPALIVE_BYTES */
  async post(entries: readonly Entry[], keepalive = false): Promise<Answer> {
    const { clock, requestTimeoutMs, gzipFromBytes } = this.#settings;
    const text = `{"events":[${entries.map((entry) => entry.text).join(",")}]}`;
    // Compressing takes turns of the event loop, which a page that is going away may not have.
    const isGzip = this.#hasGzip && !keepalive && text.length >= gzipFromBytes;
    const request = new AbortController();
    this.#requests.add(request);
    const timer = clock.setTimeout(() => request.abort(), requestTimeoutMs);
    try {
      const response = await this.#fetch(text, isGzip, keepalive, request.signal);
      if (response.status === 415 && isGzip) {
        // Something on the way does not take gzip; plain JSON everything takes.
        this.#hasGzip = false;
        await response.body?.cancel();
        return await this.post(entries);
      }
      return readAnswer(response.status, response.headers.get("Retry-After"), await response.text(), entries.length);
    } catch (error) {
      const message = request.signal.aborted ? "no answer in time" : messageOf(error);
      return { kind: "again", status: null, message, retryAfterSeconds: null };
    } finally {
      clock.clearTimeout(timer);
      this.#requests.delete(request);
    }
  }

  /** Ends every request under way. */
  abort(): void {
    for (const request of this.#requests) request.abort();
  }

  async #fetch(text: string, isGzip: boolean, keepalive: boolean, signal: AbortSignal): Promise<Response> {
    const { url, key, fetch } = this.#settings;
    const headers: Record<string, string> = {
      Authorization: `Bearer ${typeof key === "string" ? key : await key()}`,
      "Content-Type": "application/json",
    };
    if (isGzip) headers["Content-Encoding"] = "gzip";
    const body = isGzip ? await gzip(text) : text;
    // A redirect would turn the POST into a GET and carry the key elsewhere. Workers know "manual" but not "error".
    return await fetch(url, {
      method: "POST",
      headers,
      body,
      signal,
      redirect: "manual",
      ...(keepalive && { keepalive }),
    });
  }
}

function gzip(text: string): Promise<ArrayBuffer> {
  return new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
}
