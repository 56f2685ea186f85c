import { createFlowController, type FlowController, type FlowOptions } from "../../core/flow/index.ts";
import type { Attempt, Limiter } from "./limiter.ts";

/** One of our controllers, as a sender of the simulator sees it. */
export class ControllerLimiter implements Limiter {
  readonly controller: FlowController;

  constructor(controller: FlowController) {
    this.controller = controller;
  }

  get window(): number {
    return this.controller.window;
  }

  get pacingRatePerSecond(): number {
    return this.controller.pacingRatePerSecond;
  }

  send(nowMs: number): Attempt {
    const { controller } = this;
    const token = controller.sent(nowMs);
    return {
      acked: (atMs) => controller.acked(token, atMs),
      rejected: (atMs) => controller.rejected(token, atMs),
      ignored: (atMs) => controller.ignored(token, atMs),
    };
  }
}

/** Makes limiters of ours for `run`. */
export function ours(options: FlowOptions): (flow: number, nowMs: number, random: () => number) => Limiter {
  return (_flow, nowMs, random) => new ControllerLimiter(createFlowController(options, nowMs, random));
}
