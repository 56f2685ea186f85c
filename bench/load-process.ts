// The process that sends a benchmark's load, so that neither its CPU nor its garbage is counted for the platform.
import { Agent, request } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { BodyMaker } from "./bodies.ts";

/** What to send, and until when. */
export interface LoadOrder {
  readonly url: string;
  readonly key: string;
  readonly seed: string;
  /** Events in a request. */
  readonly batch: number;
  /** Requests in flight. */
  readonly concurrency: number;
  /** Events in total; a multiple of `batch`. */
  readonly events: number;
  /** Events per second; as fast as answers come when absent. */
  readonly ratePerSecond?: number;
}

/** What came of it. */
export interface LoadResult {
  /** Events in requests that were answered 200. */
  readonly accepted: number;
  /** Requests that were answered 429 or 503; each was sent again. */
  readonly refused: number;
  /** From the first request to the last answer. */
  readonly seconds: number;
  /** CPU time of this process in that span, over the span: 1 means that one core was busy. */
  readonly cpu: number;
  readonly bytesPerEvent: number;
}

/** Bodies are made before the clock starts, all of them: making one costs as much as the platform needs to parse it. */
const MAX_BODY_BYTES = 2_000_000_000;
/** The events' own time passes at this rate. */
const EVENTS_PER_SECOND_OF_EVENT_TIME = 100_000;

process.once("message", (order: LoadOrder) => {
  const bodies = prepare(order);
  process.send?.("ready");
  process.once("message", () => {
    void drive(order, bodies).then((result) => process.send?.(result, () => process.disconnect()));
  });
});

process.once("disconnect", () => process.exit());

/** All bodies of the order, in order; the newest event is about as old as this call. */
function prepare(order: LoadOrder): readonly Buffer[] {
  const maker = new BodyMaker(order.seed, order.batch);
  if (maker.bytesPerEvent * order.events > MAX_BODY_BYTES)
    throw new RangeError(`${order.events} events do not fit into memory`);
  const firstMs = Date.now() - (order.events / EVENTS_PER_SECOND_OF_EVENT_TIME) * 1000;
  return Array.from({ length: order.events / order.batch }, (_, i) =>
    maker.next(Math.floor(firstMs + ((i * order.batch) / EVENTS_PER_SECOND_OF_EVENT_TIME) * 1000)),
  );
}

async function drive(order: LoadOrder, bodies: readonly Buffer[]): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: order.concurrency });
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  let [accepted, refused] = [0, 0];
  // One iterator for all lanes: each takes the next body when it is free.
  const queue = bodies.entries();
  const lane = async (): Promise<void> => {
    for (const [i, body] of queue) {
      const dueMs = order.ratePerSecond === undefined ? 0 : ((i * order.batch) / order.ratePerSecond) * 1000;
      const earlyMs = startedAt + dueMs - performance.now();
      if (earlyMs > 0) await wait(earlyMs);
      for (;;) {
        const { status, retryAfterSeconds } = await post(agent, order, body);
        if (status === 200) break;
        if (status !== 429 && status !== 503) throw new Error(`the platform answered ${status}`);
        refused++;
        await wait(retryAfterSeconds * 1000);
      }
      accepted += order.batch;
    }
  };
  await Promise.all(Array.from({ length: order.concurrency }, lane));
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  agent.destroy();
  const bytes = bodies.reduce((sum, { length }) => sum + length, 0);
  return { accepted, refused, seconds, cpu: (user + system) / 1e6 / seconds, bytesPerEvent: bytes / order.events };
}

function post(agent: Agent, order: LoadOrder, body: Buffer): Promise<{ status: number; retryAfterSeconds: number }> {
  return new Promise((done, fail) => {
    const headers = {
      authorization: `Bearer ${order.key}`,
      "content-type": "application/json",
      "content-length": body.length,
    };
    const sending = request(`${order.url}/events/batch`, { agent, method: "POST", headers }, (response) => {
      response.resume();
      response.once("end", () => {
        done({ status: response.statusCode ?? 0, retryAfterSeconds: Number(response.headers["retry-after"] ?? 1) });
      });
    });
    sending.once("error", fail);
    sending.end(body);
  });
}
