/**
 * Source → sink, as fast as the sink can take it.
 *
 * A flow controller says how many attempts may be in flight and how fast they may leave. Every attempt is an item of its own to
 * it, so the wait before a retry is never taken for latency. A new item is read only when fewer are in hand than the window
 * allows: a sink that fails slows the source down, and memory is bounded by the window.
 */
import type { Pass } from "./circuit-breaker.ts";
import { Fifo } from "./fifo.ts";
import { checkedRetry, type ProcessorOptions, type Progress, type Verdict } from "./processor-options.ts";
import { backOffMs, type RetryPolicy } from "./retry.ts";
import { discard, Scope } from "./scope.ts";
import type { Upstream } from "./upstream.ts";
import { WakeTimer } from "./wake-timer.ts";

interface Job<T> {
  readonly value: T;
  /** The next one, from 1. */
  attempt: number;
}

/** Platform timers are coarse: sending may catch up with the pace by this much. */
const PACING_SLACK_MS = 5;
const PROGRESS_EVERY_MS = 1_000;

/** Runs once, from `run` until the source ends, an item is given up, or it is stopped. */
export class StreamProcessor<T, Token> {
  readonly #options: ProcessorOptions<T, Token>;
  readonly #retry: RetryPolicy;
  readonly #scope = new Scope();
  readonly #wake: WakeTimer;
  readonly #ready = new Fifo<Job<T>>();
  readonly #run = Promise.withResolvers<Progress>();
  readonly #counts = { read: 0, succeeded: 0, failed: 0, inFlight: 0, attempts: 0, retries: 0, refused: 0 };
  #input: Upstream<T> | undefined;
  #phase: "new" | "running" | "over" = "new";
  #isReading = false;
  #isSourceDone = false;
  #nextSendMs = -Infinity;
  #startedAtMs = 0;

  /** @throws RangeError for settings that make no sense, after closing the source */
  constructor(options: ProcessorOptions<T, Token>) {
    this.#options = options;
    this.#wake = new WakeTimer(options.clock, this.#scope, () => this.#turn());
    try {
      this.#retry = checkedRetry(options);
    } catch (error) {
      discard(options.source);
      throw error;
    }
  }

  /**
   * Starts, once; more calls give the same promise.
   * @returns settles when the source has ended and every item is decided; rejects with the first error of the source, of an item
   * that nobody takes, or of a callback. The source is closed then; attempts in flight are left to themselves.
   */
  run(): Promise<Progress> {
    if (this.#phase === "new") this.#start();
    return this.#run.promise;
  }

  /** Reads no more, closes the source, and lets `run` end when the items in hand are decided. */
  stop(): void {
    this.#isSourceDone = true;
    this.#input?.close().catch((error: unknown) => this.#crash(error));
    this.#turn();
  }

  get progress(): Progress {
    const { clock, flow, breaker } = this.#options;
    const nowMs = clock.now();
    return {
      ...this.#counts,
      inHand: this.#inHand,
      window: flow.window,
      circuit: breaker?.state(nowMs) ?? null,
      circuitOpened: breaker?.opened ?? 0,
      elapsedMs: this.#phase === "new" ? 0 : nowMs - this.#startedAtMs,
    };
  }

  get #inHand(): number {
    return this.#counts.read - this.#counts.succeeded - this.#counts.failed;
  }

  get #window(): number {
    return Math.max(1, Math.floor(this.#options.flow.window));
  }

  #start(): void {
    this.#phase = "running";
    this.#startedAtMs = this.#options.clock.now();
    try {
      this.#input = this.#scope.open(this.#options.source);
      if (this.#isSourceDone) this.#input.close().catch((error: unknown) => this.#crash(error));
      this.#watchSignal();
      this.#reportLater();
    } catch (error) {
      this.#crash(error);
    }
    this.#turn();
  }

  #watchSignal(): void {
    const { signal } = this.#options;
    if (signal === undefined) return;
    const abort = (): void => this.#crash(signal.reason);
    if (signal.aborted) throw signal.reason;
    signal.addEventListener("abort", abort);
    this.#scope.onClose(() => signal.removeEventListener("abort", abort));
  }

  /** Does whatever can be done now. Called after everything that may have changed something. */
  #turn(): void {
    if (this.#phase !== "running") return;
    try {
      while (this.#ready.length > 0 && this.#mayLeave()) {
        const job = this.#ready.shift();
        if (job !== undefined) this.#send(job);
      }
    } catch (error) {
      this.#crash(error);
    }
    if (this.#isSourceDone && this.#inHand === 0) this.#finish();
    else if (this.#wantsMore) this.#read().catch((error: unknown) => this.#crash(error));
  }

  get #wantsMore(): boolean {
    const isIdle = !this.#isReading && !this.#isSourceDone && this.#ready.length === 0;
    return isIdle && this.#phase === "running" && this.#inHand < this.#window;
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    const step = await this.#input?.next();
    this.#isReading = false;
    if (step === undefined || step.done === true) this.#isSourceDone = true;
    else {
      this.#counts.read += 1;
      this.#ready.push({ value: step.value, attempt: 1 });
    }
    this.#turn();
  }

  /** Whether window and pace let an attempt go; if only time is missing, there is a timer afterwards. */
  #mayLeave(): boolean {
    if (this.#counts.inFlight >= this.#window) return false;
    if (this.#options.clock.now() >= this.#nextSendMs) return true;
    this.#wake.notLaterThan(this.#nextSendMs);
    return false;
  }

  #send(job: Job<T>): void {
    const { breaker, clock, flow } = this.#options;
    const nowMs = clock.now();
    const pass = breaker?.enter(nowMs);
    if (breaker !== undefined && pass === null) {
      this.#wait(job, breaker.waitMs(nowMs));
      return;
    }
    this.#nextSendMs = Math.max(this.#nextSendMs, nowMs - PACING_SLACK_MS) + 1_000 / flow.pacingRatePerSecond;
    this.#counts.inFlight += 1;
    this.#counts.attempts += 1;
    if (job.attempt > 1) this.#counts.retries += 1;
    this.#attempt(job, flow.sent(nowMs), pass).catch((error: unknown) => this.#crash(error));
  }

  async #attempt(job: Job<T>, token: Token, pass: Pass | null | undefined): Promise<void> {
    const { sink, flow, clock, breaker, judge = refused } = this.#options;
    let failure: { readonly error: unknown; readonly verdict: Verdict } | undefined;
    try {
      await sink(job.value, job.attempt);
    } catch (error) {
      failure = { error, verdict: judge(error) };
    }
    const nowMs = clock.now();
    this.#counts.inFlight -= 1;
    if (failure === undefined) flow.acked(token, nowMs);
    else if (failure.verdict.kind === "refused") flow.rejected(token, nowMs);
    else flow.ignored(token, nowMs);
    const didAnswer = failure === undefined || failure.verdict.kind === "invalid";
    if (pass) breaker?.[didAnswer ? "succeeded" : "failed"](pass, nowMs);
    if (failure === undefined) this.#counts.succeeded += 1;
    else await this.#failed(job, failure.error, failure.verdict);
    this.#turn();
  }

  async #failed(job: Job<T>, error: unknown, verdict: Verdict): Promise<void> {
    if (verdict.kind === "refused") this.#counts.refused += 1;
    if (verdict.kind !== "invalid" && job.attempt < this.#retry.attempts) {
      const waitMs = backOffMs(this.#retry, job.attempt, this.#options.random);
      job.attempt += 1;
      this.#wait(job, Math.max(waitMs, verdict.retryAfterMs ?? 0));
      return;
    }
    if (this.#options.onFailed === undefined) throw error;
    // The attempt is over: retries that wait for its place may go while the item is being handed over.
    this.#turn();
    await this.#options.onFailed(job.value, error);
    this.#counts.failed += 1;
  }

  #wait(job: Job<T>, ms: number): void {
    if (this.#phase !== "running") return;
    this.#scope.setTimer(this.#options.clock, ms, () => {
      this.#ready.push(job);
      this.#turn();
    });
  }

  #reportLater(): void {
    const { onProgress, progressEveryMs = PROGRESS_EVERY_MS, clock } = this.#options;
    if (onProgress === undefined || this.#phase !== "running") return;
    this.#scope.setTimer(clock, progressEveryMs, () => {
      this.#report();
      this.#reportLater();
    });
  }

  #report(): void {
    try {
      this.#options.onProgress?.(this.progress);
    } catch (error) {
      this.#crash(error);
    }
  }

  #finish(): void {
    if (this.#phase !== "running") return;
    this.#report();
    if (this.#phase !== "running") return;
    this.#phase = "over";
    this.#run.resolve(this.progress);
    this.#scope.close();
  }

  #crash(error: unknown): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#run.reject(error);
    this.#scope.close();
  }
}

const refused = (): Verdict => ({ kind: "refused" });
