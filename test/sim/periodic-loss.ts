import { type FlowController, restoreFlowController } from "../../core/flow/index.ts";

/**
 * A window's average under the loss model of RFC 9438 section 5: one item in so many is refused, exactly, and nothing else
 * happens. Items are sent once per round trip, as many as the window holds.
 * @param start window to begin at, in congestion avoidance, near the average so that few items are wasted on the way there
 * @param refusals how many periods are run; the first third is not counted
 */
export function averageWindow(
  controller: FlowController,
  start: number,
  loss: { readonly every: number; readonly refusals: number; readonly rttMs: number },
): number {
  const fresh = controller.snapshot();
  const state = { ...fresh.state, window: start, slowStartBelow: start };
  const settled = restoreFlowController({ ...fresh, state }, 0);
  const items = loss.every * loss.refusals;
  let [nowMs, answered, sum, rounds] = [0, 0, 0, 0];
  while (answered < items) {
    if (answered > items / 3) {
      sum += settled.window;
      rounds++;
    }
    const tokens = Array.from({ length: Math.floor(settled.window) }, () => settled.sent(nowMs));
    nowMs += loss.rttMs;
    for (const token of tokens) {
      answered++;
      if (answered % loss.every === 0) settled.rejected(token, nowMs);
      else settled.acked(token, nowMs);
    }
  }
  return sum / rounds;
}
