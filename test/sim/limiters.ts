import { createFlowController, type FlowController, type FlowOptions } from "../../core/flow/index.ts";
import type { Attempt, Limiter } from "./limiter.ts";
import { EnvoyGradient } from "./peers/envoy-gradient.ts";
import { NetflixAimd } from "./peers/netflix-aimd.ts";
import { NetflixGradient2 } from "./peers/netflix-gradient2.ts";
import { NetflixVegas } from "./peers/netflix-vegas.ts";
import { NetflixLimiter } from "./peers/netflix.ts";
import { VectorArc } from "./peers/vector-arc.ts";
import type { MakeLimiter } from "./run.ts";

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

/** Makes limiters of ours. */
export function ours(options: FlowOptions): MakeLimiter {
  return (_flow, nowMs, random) => new ControllerLimiter(createFlowController(options, nowMs, random));
}

/** Our own implementations of the limiters people know, with their defaults. */
export const PEERS = {
  "vector-arc": () => new VectorArc(),
  "envoy-gradient": (_flow, nowMs, random) => new EnvoyGradient(nowMs, random),
  "netflix-gradient2": () => new NetflixLimiter(new NetflixGradient2(), 1_000),
  "netflix-vegas": (_flow, _nowMs, random) => new NetflixLimiter(new NetflixVegas({ random }), 0),
  "netflix-aimd": () => new NetflixLimiter(new NetflixAimd(), 0),
} as const satisfies Record<string, MakeLimiter>;

export type PeerName = keyof typeof PEERS;
