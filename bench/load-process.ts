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

process.once("message", (order: LoadOrder) => {
  const bodies = new BodyMaker(order.seed, order.batch);
  process.send?.("ready");
  process.once("message", () => {
    void drive(order, bodies).then((result) => process.send?.(result, () => process.disconnect()));
  });
});

process.once("disconnect", () => process.exit());

async function drive(order: LoadOrder, bodies: BodyMaker): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: order.concurrency });
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  let [sent, accepted, refused] = [0, 0, 0];
  const lane = async (): Promise<void> => {
    while (sent < order.events) {
      const dueMs = order.ratePerSecond === undefined ? 0 : (sent / order.ratePerSecond) * 1000;
      sent += order.batch;
      const earlyMs = startedAt + dueMs - performance.now();
      if (earlyMs > 0) await wait(earlyMs);
      const body = bodies.next(Date.now());
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
  return { accepted, refused, seconds, cpu: (user + system) / 1e6 / seconds, bytesPerEvent: bodies.bytesPerEvent };
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
