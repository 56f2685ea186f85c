import { runLoad } from "./load.ts";
import type { LoadResult } from "./load-process.ts";
import { startParseOnly } from "./parse-only.ts";
import { startBenchPlatform } from "./platform.ts";
import { makeTenant } from "./overload-parts.ts";
import { addAggregations } from "./aggregations.ts";

/** Events per second that StreamFlow accepts, beside a Worker that only parses the same bodies. */
export interface AcceptedResult {
  /** Medians over the rounds, events per second. */
  readonly parseOnly: number;
  readonly accepted: number;
  /** Median of the rounds' own ratios; each round measures both, one right after the other. */
  readonly ratio: number;
  readonly rounds: readonly { readonly parseOnly: number; readonly accepted: number }[];
  readonly bytesPerEvent: number;
  /** The busiest load process, in cores: the figure is the platform's only while this is well below 1. */
  readonly loadCpu: number;
  /** Requests that were refused for load and sent again. */
  readonly refused: number;
}

const BATCH = 500;
const CONCURRENCY = 8;

/**
 * Measures how fast events are accepted over HTTP in 500-event batches.
 *
 * @param consumerPaused  with the queue's consumer held back; otherwise it shares the machine, as it does in life
 */
export async function measureAccepted(
  consumerPaused: boolean,
  rounds: number,
  eventsPerRound: number,
): Promise<AcceptedResult> {
  const parseOnly = await startParseOnly();
  const platform = await startBenchPlatform({ consumerPaused });
  try {
    await addAggregations(platform);
    const order = { batch: BATCH, concurrency: CONCURRENCY };
    const measured: { parseOnly: LoadResult; accepted: LoadResult }[] = [];
    // Round 0 warms both up and is not counted.
    for (let round = 0; round <= rounds; round++) {
      const events = round === 0 ? eventsPerRound / 4 : eventsPerRound;
      const seed = `accepted ${round}`;
      // Nothing is applied while the consumer is held back, so admission closes before long: each round has a tenant of its own.
      const { key } = consumerPaused ? await makeTenant(platform, `round${round}`) : platform;
      const result = {
        parseOnly: await runLoad({ ...order, key, url: parseOnly.url, seed, events }),
        accepted: await runLoad({ ...order, key, url: platform.url, seed, events }),
      };
      if (round > 0) measured.push(result);
    }
    return summarize(measured);
  } finally {
    await Promise.all([parseOnly.stop(), platform.stop()]);
  }
}

function summarize(measured: readonly { parseOnly: LoadResult; accepted: LoadResult }[]): AcceptedResult {
  const rounds = measured.map(({ parseOnly, accepted }) => ({ parseOnly: rate(parseOnly), accepted: rate(accepted) }));
  const results = measured.flatMap(({ parseOnly, accepted }) => [parseOnly, accepted]);
  return {
    parseOnly: median(rounds.map((round) => round.parseOnly)),
    accepted: median(rounds.map((round) => round.accepted)),
    ratio: median(rounds.map((round) => round.accepted / round.parseOnly)),
    rounds,
    bytesPerEvent: results[0]?.bytesPerEvent ?? 0,
    loadCpu: Math.max(...results.map(({ cpu }) => cpu)),
    refused: results.reduce((sum, { refused }) => sum + refused, 0),
  };
}

function rate({ accepted, seconds }: LoadResult): number {
  return accepted / seconds;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
