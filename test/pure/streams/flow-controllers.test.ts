import { expect, test } from "vitest";
import { createFlowController, type FlowToken } from "../../../core/flow/index.ts";
import { StreamProcessor } from "../../../core/streams/stream-processor.ts";
import { ManualClock } from "./clocks.ts";

/** Takes `places` items at a time, 20 ms each, and refuses more. */
function narrowSink(clock: ManualClock, places: number): () => Promise<void> {
  let taken = 0;
  return async () => {
    if (taken >= places) throw new Error("busy");
    taken += 1;
    await new Promise<void>((resolve) => void clock.setTimer(20, resolve));
    taken -= 1;
  };
}

test.each(["aimd", "cubic", "bbr", "adaptive"] as const)(
  "%s takes 1,500 items through a sink of eight places, each once, and learns not to be refused",
  async (algorithm) => {
    const clock = new ManualClock();
    const processor = new StreamProcessor<number, FlowToken>({
      source: Array.from({ length: 1_500 }, (_, index) => index),
      sink: narrowSink(clock, 8),
      flow: createFlowController({ algorithm, initialWindow: 20 }, 0, () => 0.5),
      clock,
      random: () => 0.5,
      retry: { attempts: 50, baseMs: 20, maxMs: 200 },
    });
    const done = processor.run();
    await clock.advance(60_000);
    const progress = await done;
    expect(progress).toMatchObject({ read: 1_500, succeeded: 1_500, failed: 0, inHand: 0 });
    expect(progress.refused).toBeLessThan(300);
  },
);
