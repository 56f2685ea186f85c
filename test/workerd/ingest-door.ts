import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { StreamEvent } from "../../core/events/event.ts";
import { EventBatch } from "../../core/events/event-batch.ts";
import { type EventMessage, isEventMessage } from "../../core/events/message.ts";
import { unpackChunk } from "../../storage/chunk.ts";
import worker from "../../workers/index.ts";
import { OPERATOR_KEY } from "./http-client.ts";

/** A queue that keeps what it is given; `refuses` decides which calls fail. */
export class FakeQueue {
  readonly messages: EventMessage[] = [];
  /** Messages per call, failed calls included. */
  readonly calls: number[] = [];
  refuses: (call: number) => boolean = () => false;
  /** How long a call takes, ms. */
  latencyMs = 0;

  async sendBatch(list: Iterable<MessageSendRequest>): Promise<QueueSendBatchResponse> {
    const bodies = [...list].map(({ body }) => body);
    this.calls.push(bodies.length);
    if (this.latencyMs > 0) await scheduler.wait(this.latencyMs);
    if (this.refuses(this.calls.length - 1)) throw new Error("Too Many Requests");
    for (const body of bodies) {
      if (!isEventMessage(body)) throw new TypeError("not an event message");
      this.messages.push(body);
    }
    return { metadata: { metrics: { backlogBytes: 0, backlogCount: 0 } } };
  }

  /** Every event on the queue, in order. */
  events(): StreamEvent[] {
    return this.messages.flatMap(({ body }) => {
      const batch = EventBatch.fromText(unpackChunk(body));
      return Array.from({ length: batch.length }, (_, row) => batch.event(row));
    });
  }

  async send(body: unknown): Promise<QueueSendResponse> {
    return await this.sendBatch([{ body }]);
  }

  /** This test's environment with the queue in place of the real one. */
  inEnv(): Env {
    const queue: Queue = {
      metrics: () => env.EVENTS.metrics(),
      send: (body) => this.send(body),
      sendBatch: (list) => this.sendBatch(list),
    };
    return { ...env, EVENTS: queue };
  }
}

export interface Sent {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly error?: string;
    readonly message?: string;
    readonly data?: unknown;
    readonly details?: unknown;
  };
  /** What the request put on the queue. */
  readonly queued: StreamEvent[];
}

interface SendOptions {
  readonly key?: string;
  readonly headers?: Record<string, string>;
  readonly queue?: FakeQueue;
}

/** Posts a body to the Worker with a queue of its own. A string or bytes go as they are, anything else as JSON. */
export async function send(path: string, body: unknown, options: SendOptions = {}): Promise<Sent> {
  const queue = options.queue ?? new FakeQueue();
  const before = queue.messages.length;
  const request = new Request<unknown, IncomingRequestCfProperties>(`http://streamflow.test${path}`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${options.key ?? OPERATOR_KEY}`,
      "Content-Type": "application/json",
      ...options.headers,
    },
    body:
      typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream
        ? body
        : JSON.stringify(body),
  });
  const response = await worker.fetch(request, queue.inEnv(), createExecutionContext());
  const own = new FakeQueue();
  own.messages.push(...queue.messages.slice(before));
  return { status: response.status, headers: response.headers, body: await response.json(), queued: own.events() };
}

/** A valid event. */
export function event(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { type: "web.request", source: "web", ...fields };
}
