import { createFlowController, type FlowController, type FlowOptions } from "../../core/flow/index.ts";
import { ControllerLimiter } from "./limiters.ts";
import { type Experiment, type Result, run } from "./run.ts";

/** Runs an experiment with controllers of ours and shows each of them after every answer it got. */
export function runTraced(
  experiment: Experiment,
  options: FlowOptions,
  see: (controller: FlowController, nowMs: number, flow: number) => void,
): Result {
  return run(experiment, (flow, startMs, random) => {
    const controller = createFlowController(options, startMs, random);
    const limiter = new ControllerLimiter(controller);
    return {
      get window() {
        return limiter.window;
      },
      get pacingRatePerSecond() {
        return limiter.pacingRatePerSecond;
      },
      send(nowMs) {
        const attempt = limiter.send(nowMs);
        return {
          acked: (atMs) => {
            attempt.acked(atMs);
            see(controller, atMs, flow);
          },
          rejected: (atMs) => {
            attempt.rejected(atMs);
            see(controller, atMs, flow);
          },
          ignored: attempt.ignored,
        };
      },
    };
  });
}
