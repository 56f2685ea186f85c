import { ColumnarBuilder, type EventBatch } from "./event-batch.ts";

/** Deliveries of a message in company; from the next one on it is tried alone, so that it cannot hold back its neighbours. */
export const ATTEMPTS_TOGETHER = 2;
/** Deliveries before a message that fails alone is cut up to find the event to blame. */
export const ATTEMPTS_BEFORE_SPLIT = 4;
const MAX_DELAY_SECONDS = 60;

/**
 * Pause before the next delivery: doubles each time, with up to half of it taken off at random so that failed messages do not
 * come back in one wave.
 * @param attempts deliveries so far, ≥ 1. @param random in [0, 1)
 * @returns whole seconds, 1 to 60
 */
export function retryDelaySeconds(attempts: number, random: number): number {
  const full = Math.min(MAX_DELAY_SECONDS, 2 ** (attempts - 1));
  return Math.max(1, Math.round(full * (1 - random / 2)));
}

/** The columnar texts of the two halves of a batch of at least two events. */
export function halves(batch: EventBatch): readonly [first: Half, second: Half] {
  const middle = batch.length >> 1;
  return [half(batch, 0, middle), half(batch, middle, batch.length)];
}

/** Half of a batch, in the columnar format. */
export interface Half {
  readonly text: string;
  readonly events: number;
}

function half(batch: EventBatch, from: number, to: number): Half {
  const builder = new ColumnarBuilder();
  for (let row = from; row < to; row++) builder.add(batch.event(row));
  return { text: builder.toText(), events: to - from };
}
