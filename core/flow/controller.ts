import type { Algorithm, Limits, PlainState } from "./algorithm.ts";
import type { FlowToken, Sampler, SamplerState } from "./sampler.ts";

export const FLOW_ALGORITHMS = ["aimd", "cubic", "bbr", "adaptive"] as const;
export type FlowAlgorithm = (typeof FLOW_ALGORITHMS)[number];

/** A controller at rest, JSON-able. Items in flight are not in it: their fate will not be known. */
export interface FlowSnapshot {
  readonly version: 1;
  readonly algorithm: FlowAlgorithm;
  readonly limits: Limits;
  /** The controller's own clock, ms. */
  readonly clockMs: number;
  readonly sampler: SamplerState;
  readonly state: PlainState;
}

/**
 * Says how many items may be in flight to one downstream, and how fast they may be sent.
 *
 * Each attempt is an item of its own: a retry gets a new token when it is sent, so the wait before it is never taken for
 * latency. Every token must be settled, also of an attempt that was given up, else it counts as in flight for good; settling
 * it a second time, or a token of another controller, changes nothing.
 */
export class FlowController {
  readonly #name: FlowAlgorithm;
  readonly #limits: Limits;
  readonly #algorithm: Algorithm;
  readonly #sampler: Sampler;
  /** The caller's time at which the controller's own clock showed 0. */
  readonly #zeroMs: number;
  #clockMs: number;

  /** @param rest where to go on from @param nowMs the caller's time, on any clock that does not jump */
  constructor(
    rest: Pick<FlowSnapshot, "algorithm" | "limits" | "clockMs">,
    parts: { readonly algorithm: Algorithm; readonly sampler: Sampler },
    nowMs: number,
  ) {
    this.#name = rest.algorithm;
    this.#limits = rest.limits;
    this.#algorithm = parts.algorithm;
    this.#sampler = parts.sampler;
    this.#clockMs = rest.clockMs;
    this.#zeroMs = nowMs - rest.clockMs;
  }

  /** Items that may be in flight now, ≥ 1; may be fractional. */
  get window(): number {
    return this.#algorithm.window;
  }

  /** Items per second at which to send, spread evenly; Infinity when unpaced. */
  get pacingRatePerSecond(): number {
    return this.#algorithm.pacingRatePerSecond;
  }

  /** Items sent and not settled. */
  get inFlight(): number {
    return this.#sampler.inFlight;
  }

  /** One item leaves. @returns what to settle it with */
  sent(nowMs: number): FlowToken {
    const clockMs = this.#tick(nowMs);
    this.#algorithm.onSend?.(clockMs, this.#sampler);
    return this.#sampler.sent(clockMs, this.window, this.pacingRatePerSecond);
  }

  /** It was done. */
  acked(token: FlowToken, nowMs: number): void {
    if (!this.#sampler.has(token)) return;
    this.#algorithm.onAck(this.#sampler.acked(token, this.#tick(nowMs)), this.#sampler);
  }

  /** It was refused (429, 503, overloaded) or timed out. */
  rejected(token: FlowToken, nowMs: number): void {
    if (!this.#sampler.has(token)) return;
    this.#algorithm.onReject(this.#sampler.rejected(token, this.#tick(nowMs)), this.#sampler);
  }

  /** It says nothing about the path, e.g. the caller's own error. */
  ignored(token: FlowToken, nowMs: number): void {
    if (this.#sampler.has(token)) this.#sampler.ignored(token, this.#tick(nowMs));
  }

  /** What `restoreFlowController` goes on from; as of the last thing that happened. */
  snapshot(): FlowSnapshot {
    return {
      version: 1,
      algorithm: this.#name,
      limits: this.#limits,
      clockMs: this.#clockMs,
      sampler: { ...this.#sampler.state },
      state: copyState(this.#algorithm.state),
    };
  }

  /** The controller's own clock: never back, and standing still between a snapshot and its restoration. */
  #tick(nowMs: number): number {
    const clockMs = nowMs - this.#zeroMs;
    if (clockMs > this.#clockMs) this.#clockMs = clockMs;
    return this.#clockMs;
  }
}

function copyState(state: PlainState): PlainState {
  const copy: PlainState = {};
  for (const [name, value] of Object.entries(state)) copy[name] = Array.isArray(value) ? [...value] : value;
  return copy;
}
