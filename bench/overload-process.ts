// The process that sends one tenant's share of an overload: at a rate, whatever is answered, as producers in the world do.
import { Agent, request } from "node:http";
import { BodyMaker } from "./bodies.ts";

/** What to send, and for how long. */
export interface OverloadOrder {
  readonly url: string;
  readonly key: string;
  readonly seed: string;
  /** Events in a request. */
  readonly batch: number;
  /** Events per second; as fast as answers come when absent. */
  readonly ratePerSecond?: number;
  readonly seconds: number;
  /** Requests in flight; one that would be due beyond them is not sent, and counted. */
  readonly concurrency: number;
}

/** What came of it. */
export interface OverloadResult {
  /** Events in requests answered 200, as the answers say, and requests so answered. */
  readonly accepted: number;
  readonly requestsAccepted: number;
  /** Requests answered 429 with a whole `Retry-After` of at least 1, and 429 without. */
  readonly refused: number;
  readonly refusedBadly: number;
  /** Requests answered otherwise or not at all, by status or error. */
  readonly other: Readonly<Record<string, number>>;
  /** Requests that were due while `concurrency` were in flight. */
  readonly unsent: number;
  readonly seconds: number;
  /** CPU time over the span: 1 means that one core was busy. */
  readonly cpu: number;
  /** Of requests answered 200: when sent, ms since the epoch, and until answered, ms. */
  readonly latencies: readonly (readonly [sentAt: number, ms: number])[];
}

process.once("message", (order: OverloadOrder) => {
  const maker = new BodyMaker(order.seed, order.batch);
  process.send?.("ready");
  process.once("message", () => {
    void drive(order, maker).then((result) => process.send?.(result, () => process.disconnect()));
  });
});

process.once("disconnect", () => process.exit());

/** Time between looks at the clock, ms. */
const TICK_MS = 2;

async function drive(order: OverloadOrder, maker: BodyMaker): Promise<OverloadResult> {
  const run = new Run(order, maker);
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const elapsed = (): number => (performance.now() - startedAt) / 1000;
  let due = 0;
  await new Promise<void>((done) => {
    const timer = setInterval(() => {
      if (elapsed() >= order.seconds) {
        clearInterval(timer);
        done();
        return;
      }
      const rate = order.ratePerSecond;
      const wanted = rate === undefined ? Infinity : Math.floor((elapsed() * rate) / order.batch) - due;
      for (let n = 0; n < wanted && run.hasRoom; n++, due++) run.send();
      if (rate === undefined) return;
      const late = Math.floor((elapsed() * rate) / order.batch) - due;
      run.unsent += late;
      due += late;
    }, TICK_MS);
  });
  await run.settled();
  const seconds = elapsed();
  const { user, system } = process.cpuUsage(cpuBefore);
  return run.result(seconds, (user + system) / 1e6 / seconds);
}

class Run {
  unsent = 0;
  readonly #order: OverloadOrder;
  readonly #maker: BodyMaker;
  readonly #agent: Agent;
  /** Bodies that were refused: none of their events was taken, so they are offered again. */
  readonly #refusedBodies: Buffer[] = [];
  readonly #latencies: [number, number][] = [];
  readonly #other: Record<string, number> = {};
  #inFlight = 0;
  #accepted = 0;
  #requestsAccepted = 0;
  #refused = 0;
  #refusedBadly = 0;
  #onIdle: () => void = () => undefined;

  constructor(order: OverloadOrder, maker: BodyMaker) {
    this.#order = order;
    this.#maker = maker;
    this.#agent = new Agent({ keepAlive: true, maxSockets: order.concurrency });
  }

  get hasRoom(): boolean {
    return this.#inFlight < this.#order.concurrency;
  }

  send(): void {
    const body = this.#refusedBodies.pop() ?? this.#maker.next(Date.now());
    const { url, key } = this.#order;
    const headers = {
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      "content-length": body.length,
    };
    this.#inFlight++;
    const [sentAt, startedAt] = [Date.now(), performance.now()];
    let isDone = false;
    const done = (what: () => void): void => {
      if (isDone) return;
      isDone = true;
      what();
      this.#inFlight--;
      if (this.#inFlight === 0) this.#onIdle();
    };
    const sending = request(`${url}/events/batch`, { agent: this.#agent, method: "POST", headers }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.once("error", (error) => done(() => this.#count(String(error))));
      response.once("end", () => {
        done(() => {
          if (response.statusCode === 200) {
            this.#latencies.push([sentAt, performance.now() - startedAt]);
            this.#requestsAccepted++;
            this.#accepted += acceptedOf(Buffer.concat(parts));
          } else if (response.statusCode === 429) {
            if (/^[1-9]\d*$/.test(response.headers["retry-after"] ?? "")) this.#refused++;
            else this.#refusedBadly++;
            this.#refusedBodies.push(body);
          } else this.#count(String(response.statusCode));
        });
      });
    });
    sending.once("error", (error) => done(() => this.#count("code" in error ? String(error.code) : String(error))));
    sending.end(body);
  }

  async settled(): Promise<void> {
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#agent.destroy();
  }

  result(seconds: number, cpu: number): OverloadResult {
    return {
      accepted: this.#accepted,
      requestsAccepted: this.#requestsAccepted,
      refused: this.#refused,
      refusedBadly: this.#refusedBadly,
      other: this.#other,
      unsent: this.unsent,
      seconds,
      cpu,
      latencies: this.#latencies,
    };
  }

  #count(what: string): void {
    this.#other[what] = (this.#other[what] ?? 0) + 1;
  }
}

/** `accepted` of a batch's answer, read without parsing the ids. */
function acceptedOf(answer: Buffer): number {
  return Number(/"accepted":(\d+)/.exec(answer.toString("latin1", 0, 400))?.[1] ?? Number.NaN);
}
