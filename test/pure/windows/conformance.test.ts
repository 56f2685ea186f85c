import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { advanceWatermark } from "../../../core/windows/watermark.ts";
import { StoredSpans } from "../../../core/windows/stored-spans.ts";
import type { Source } from "../../../core/windows/sources.ts";
import { runTranscript, type Transcript } from "./transcript.ts";

/**
 * Cases of other systems' test suites, in our terms. Theirs print windows with their last instant, [0, 9]; ours end one later, [0, 10).
 * Their watermark w says that everything up to w was seen, ours that everything before W was: W = w + 1 where that matters.
 * A window here is told when it closes and at each later change, with everything in it; there are no early panes (the live topic
 * shows open windows) and nothing is discarded.
 */
const second = 1000;
const fixed10 = { type: "tumbling", size: "10s" } as const;
const session10 = { type: "session", gap: "10s" } as const;

/**
 * Apache Beam, sdks/python/apache_beam/testing/data/trigger_transcripts.yaml: all of them but three in which a window function gives
 * its outputs timestamps of its own. Our windows have none; their earliest and latest event are measures.
 */
const BEAM_TRANSCRIPTS: readonly Transcript[] = [
  {
    name: "fixed_default",
    window: fixed10,
    unit: second,
    steps: [
      { input: [1, 2, 3, 10, 11] },
      { watermark: 25 },
      {
        told: [
          { window: [0, 10], values: [1, 2, 3] },
          { window: [10, 20], values: [10, 11] },
        ],
      },
    ],
  },
  {
    name: "fixed_default_late_data",
    window: fixed10,
    unit: second,
    steps: [
      { input: [1, 2, 3, 10, 11, 25] },
      { watermark: 100 },
      {
        told: [
          { window: [0, 10], values: [1, 2, 3] },
          { window: [10, 20], values: [10, 11] },
          { window: [20, 30], values: [25] },
        ],
      },
      { input: [7] },
      { told: [{ window: [0, 10], values: [1, 2, 3, 7], revision: 1 }] },
    ],
  },
  {
    name: "timestamp_combiner_earliest, as the least time of each window",
    window: fixed10,
    unit: second,
    steps: [
      { input: [1, 2, 3, 10, 11, 25] },
      { watermark: 100 },
      {
        told: [
          { window: [0, 10], values: [1, 2, 3], earliest: 1 },
          { window: [10, 20], values: [10, 11], earliest: 10 },
          { window: [20, 30], values: [25], earliest: 25 },
        ],
      },
    ],
  },
  {
    name: "timestamp_combiner_latest, as the greatest time of each window",
    window: fixed10,
    unit: second,
    steps: [
      { input: [1, 2, 3, 10, 11, 25] },
      { watermark: 100 },
      {
        told: [
          { window: [0, 10], values: [1, 2, 3], latest: 3 },
          { window: [10, 20], values: [10, 11], latest: 11 },
          { window: [20, 30], values: [25], latest: 25 },
        ],
      },
    ],
  },
  {
    name: "early_late_sessions, where ours has no early panes and tells each late call instead of every third element",
    window: session10,
    unit: second,
    steps: [
      { input: [1, 2, 3] },
      { told: [] },
      { there: [{ window: [1, 13], values: [1, 2, 3] }] },
      { input: [4] },
      { input: [5] },
      { there: [{ window: [1, 15], values: [1, 2, 3, 4, 5] }] },
      { input: [6] },
      { watermark: 100 },
      { told: [{ window: [1, 16], values: [1, 2, 3, 4, 5, 6] }] },
      { input: [1] },
      { told: [{ window: [1, 16], values: [1, 1, 2, 3, 4, 5, 6], revision: 1 }] },
      { input: [3, 4] },
      { told: [{ window: [1, 16], values: [1, 1, 2, 3, 3, 4, 4, 5, 6], revision: 2 }] },
    ],
  },
  {
    name: "discarding_early_fixed, where ours accumulates and tells each window once",
    window: fixed10,
    unit: second,
    steps: [
      { input: [1, 2, 3] },
      { input: [4] },
      { input: [14] },
      { input: [5] },
      { input: [18] },
      { input: [6] },
      { told: [] },
      { watermark: 100 },
      {
        told: [
          { window: [0, 10], values: [1, 2, 3, 4, 5, 6] },
          { window: [10, 20], values: [14, 18] },
        ],
      },
    ],
  },
  {
    name: "garbage_collection, where ours collects nothing: beyond the lateness a change is kept, and not told",
    window: fixed10,
    allowedLateness: "10s",
    unit: second,
    steps: [
      { input: [1, 2, 3, 10, 11, 25] },
      {
        there: [
          { window: [0, 10], values: [1, 2, 3] },
          { window: [10, 20], values: [10, 11] },
          { window: [20, 30], values: [25] },
        ],
      },
      { watermark: 35 },
      {
        told: [
          { window: [0, 10], values: [1, 2, 3] },
          { window: [10, 20], values: [10, 11] },
          { window: [20, 30], values: [25] },
        ],
      },
      { input: [7] },
      { input: [27] },
      { told: [{ window: [20, 30], values: [25, 27], revision: 1 }] },
      {
        there: [
          { window: [0, 10], values: [1, 2, 3, 7], revision: 1 },
          { window: [10, 20], values: [10, 11] },
          { window: [20, 30], values: [25, 27], revision: 1 },
        ],
      },
    ],
  },
  {
    name: "known_late_data_watermark: late events of an open window are just counted, and it begins with the earliest",
    window: fixed10,
    unit: second,
    steps: [
      { watermark: 5 },
      { input: [2, 3, 7, 8] },
      { watermark: 11 },
      { told: [{ window: [0, 10], values: [2, 3, 7, 8], earliest: 2 }] },
    ],
  },
  {
    name: "known_late_data_no_watermark_hold_possible",
    window: fixed10,
    unit: second,
    steps: [
      { watermark: 8 },
      { input: [2, 3, 7] },
      { watermark: 11 },
      { told: [{ window: [0, 10], values: [2, 3, 7] }] },
    ],
  },
  {
    name: "a second watermark tells nothing again",
    window: fixed10,
    unit: second,
    steps: [
      { input: [1, 2, 3] },
      { watermark: 100 },
      { told: [{ window: [0, 10], values: [1, 2, 3] }] },
      { watermark: 200 },
      { told: [] },
    ],
  },
];

/** Those of the same file that must fail. */
const BAD_BEAM_TRANSCRIPTS: readonly Transcript[] = (
  [
    ["bad_output", [{ input: [1, 2, 3] }, { told: [{ window: [0, 10], values: [1, 2, 3] }] }, { watermark: 100 }]],
    [
      "bad_expected_values",
      [{ input: [1, 2, 3] }, { watermark: 100 }, { told: [{ window: [0, 10], values: [1, 2] }] }],
    ],
    [
      "bad_expected_window",
      [{ input: [1, 2, 3] }, { watermark: 100 }, { told: [{ window: [0, 20], values: [1, 2, 3] }] }],
    ],
    ["missing_output", [{ input: [1, 2, 3] }, { watermark: 100 }, { watermark: 200 }]],
    ["missing_output_at_end", [{ input: [1, 2, 3] }, { watermark: 100 }]],
  ] as const
).map(([name, steps]) => ({ name, window: fixed10, unit: second, steps }));

/** Apache Beam, SessionsTest and SlidingWindowsTest (Java SDK, transforms/windowing). */
const BEAM_WINDOWS: readonly Transcript[] = [
  {
    name: "SessionsTest: events out of order fall into one session",
    window: session10,
    unit: second,
    steps: [
      { input: [1, 15, 30, 100, 101, 95, 22, 10] },
      {
        there: [
          { window: [1, 40], values: [1, 10, 15, 22, 30] },
          { window: [95, 111], values: [95, 100, 101] },
        ],
      },
    ],
  },
  {
    name: "SessionsTest, one event to a call",
    window: session10,
    unit: second,
    steps: [
      ...[1, 15, 30, 100, 101, 95, 22, 10].map((at) => ({ input: [at] })),
      {
        there: [
          { window: [1, 40], values: [1, 10, 15, 22, 30] },
          { window: [95, 111], values: [95, 100, 101] },
        ],
      },
    ],
  },
  {
    name: "SessionsTest: events exactly a gap apart are sessions of their own",
    window: session10,
    unit: second,
    steps: [
      { input: [0, 10, 101] },
      {
        there: [
          { window: [0, 10], values: [0] },
          { window: [10, 20], values: [10] },
          { window: [101, 111], values: [101] },
        ],
      },
    ],
  },
  {
    name: "SlidingWindowsTest: 10 every 5",
    window: { type: "hopping", size: "10s", slide: "5s" },
    unit: second,
    steps: [
      { input: [1, 2, 5, 9, 10, 11] },
      {
        there: [
          { window: [-5, 5], values: [1, 2] },
          { window: [0, 10], values: [1, 2, 5, 9] },
          { window: [5, 15], values: [5, 9, 10, 11] },
          { window: [10, 20], values: [10, 11] },
        ],
      },
    ],
  },
  {
    name: "SlidingWindowsTest: 10 every 5, offset 2",
    window: { type: "hopping", size: "10s", slide: "5s", offset: "2s" },
    unit: second,
    steps: [
      { input: [1, 2, 5, 9, 10, 11] },
      {
        there: [
          { window: [-8, 2], values: [1] },
          { window: [-3, 7], values: [1, 2, 5] },
          { window: [2, 12], values: [2, 5, 9, 10, 11] },
          { window: [7, 17], values: [9, 10, 11] },
        ],
      },
    ],
  },
  {
    name: "SlidingWindowsTest: 3 every 10 leaves gaps, and events in gaps count nowhere",
    window: { type: "hopping", size: "3s", slide: "10s" },
    unit: second,
    steps: [
      { input: [1, 2, 3, 5, 9, 10, 11] },
      {
        there: [
          { window: [0, 3], values: [1, 2] },
          { window: [10, 13], values: [10, 11] },
        ],
      },
    ],
  },
];

/** Apache Flink, WindowOperatorTest (flink-streaming-java, runtime/operators/windowing). What Flink drops as late, ours counts. */
const FLINK_OPERATOR: readonly Transcript[] = [
  {
    name: "testLateness: within the lateness a change is told, later it only changes history; ours accumulates",
    window: { type: "tumbling", size: "2s" },
    allowedLateness: "500ms",
    unit: 1,
    steps: [
      { input: [500] },
      { watermark: 1501 },
      { input: [1300] },
      { watermark: 2301 },
      { told: [{ window: [0, 2000], values: [500, 1300] }] },
      { input: [1997] },
      { told: [{ window: [0, 2000], values: [500, 1300, 1997], revision: 1 }] },
      { watermark: 6001 },
      { input: [1998] },
      { watermark: 7001 },
      { told: [] },
      { there: [{ window: [0, 2000], values: [500, 1300, 1997, 1998], revision: 2 }] },
    ],
  },
  {
    name: "testDropDueToLatenessSliding: a late event is told of in the open windows it falls into",
    window: { type: "hopping", size: "3s", slide: "1s" },
    allowedLateness: "0s",
    unit: 1,
    steps: [
      { input: [["key2", 1000]] },
      { watermark: 2000 },
      { told: [{ key: "key2", window: [-1000, 2000], values: [1000] }] },
      { input: [["key2", 2000]] },
      { watermark: 3001 },
      { told: [{ key: "key2", window: [0, 3000], values: [1000, 2000] }] },
      {
        input: [
          ["key1", 3001],
          ["key2", 2400],
          ["key2", 2400],
          ["key1", 3001],
          ["key2", 3900],
        ],
      },
      { watermark: 6001 },
      {
        told: [
          { key: "key2", window: [1000, 4000], values: [1000, 2000, 2400, 2400, 3900] },
          { key: "key1", window: [1000, 4000], values: [3001, 3001] },
          { key: "key2", window: [2000, 5000], values: [2000, 2400, 2400, 3900] },
          { key: "key1", window: [2000, 5000], values: [3001, 3001] },
          { key: "key2", window: [3000, 6000], values: [3900] },
          { key: "key1", window: [3000, 6000], values: [3001, 3001] },
        ],
      },
      { input: [["key1", 3001]] },
      { watermark: 25_001 },
      { told: [] },
      {
        there: [
          { key: "key2", window: [-1000, 2000], values: [1000] },
          { key: "key2", window: [0, 3000], values: [1000, 2000, 2400, 2400], revision: 1 },
          // A revision is a window's, not a group's.
          { key: "key2", window: [1000, 4000], values: [1000, 2000, 2400, 2400, 3900], revision: 1 },
          { key: "key1", window: [1000, 4000], values: [3001, 3001, 3001], revision: 1 },
          { key: "key2", window: [2000, 5000], values: [2000, 2400, 2400, 3900], revision: 1 },
          { key: "key1", window: [2000, 5000], values: [3001, 3001, 3001], revision: 1 },
          { key: "key2", window: [3000, 6000], values: [3900], revision: 1 },
          { key: "key1", window: [3000, 6000], values: [3001, 3001, 3001], revision: 1 },
        ],
      },
    ],
  },
  {
    name: "testDropDueToLatenessSessionZeroLateness, up to its first dropped element",
    window: { type: "session", gap: "3s" },
    allowedLateness: "0s",
    unit: 1,
    steps: [
      { input: [["key2", 1000]] },
      { watermark: 2000 },
      { input: [["key2", 2000]] },
      { watermark: 4999 },
      { input: [["key2", 4500]] },
      { input: [["key2", 8500]] },
      { watermark: 7401 },
      { told: [] },
      { input: [["key2", 7000]] },
      { watermark: 11_502 },
      { told: [{ key: "key2", window: [1000, 11_500], values: [1000, 2000, 4500, 7000, 8500] }] },
      { input: [["key2", 11_600]] },
      { watermark: 14_601 },
      { told: [{ key: "key2", window: [11_600, 14_600], values: [11_600] }] },
    ],
  },
  {
    name: "testDropDueToLatenessSession…: where Flink drops 10000, ours joins both closed sessions and says so",
    window: { type: "session", gap: "3s" },
    unit: 1,
    steps: [
      {
        input: [
          ["key2", 1000],
          ["key2", 2000],
          ["key2", 4500],
          ["key2", 8500],
          ["key2", 7000],
        ],
      },
      { watermark: 11_502 },
      { told: [{ key: "key2", window: [1000, 11_500], values: [1000, 2000, 4500, 7000, 8500] }] },
      { input: [["key2", 11_600]] },
      { watermark: 14_601 },
      { told: [{ key: "key2", window: [11_600, 14_600], values: [11_600] }] },
      { input: [["key2", 10_000]] },
      {
        told: [
          { key: "key2", window: [1000, 14_600], values: [1000, 2000, 4500, 7000, 8500, 10_000, 11_600], revision: 1 },
        ],
      },
      { input: [["key2", 14_500]] },
      { told: [] },
      { watermark: 20_001 },
      {
        told: [
          {
            key: "key2",
            window: [1000, 17_500],
            values: [1000, 2000, 4500, 7000, 8500, 10_000, 11_600, 14_500],
            revision: 2,
          },
        ],
      },
    ],
  },
  {
    name: "testCleanupTimeOverflow, with the longest size and lateness there may be",
    window: { type: "tumbling", size: "400d" },
    allowedLateness: "400d",
    unit: 86_400_000,
    steps: [
      { input: [0] },
      { watermark: 400 },
      { there: [{ window: [-172, 228], values: [0] }] },
      { told: [{ window: [-172, 228], values: [0] }] },
    ],
  },
];

describe.each([
  ["Beam trigger transcripts", BEAM_TRANSCRIPTS],
  ["Beam window tests", BEAM_WINDOWS],
  ["Flink window operator tests", FLINK_OPERATOR],
])("%s", (_, transcripts) => {
  test.each(transcripts)("$name", (transcript) => {
    const checks = runTranscript(transcript);
    expect(checks.length).toBeGreaterThan(0);
    for (const { expected, found } of checks) expect(found).toEqual(expected);
  });
});

test.each(BAD_BEAM_TRANSCRIPTS)("a wrong transcript is found out: $name", (transcript) => {
  const wrong = runTranscript(transcript).filter(({ expected, found }) => !isDeepStrictEqual(expected, found));
  expect(wrong.length).toBeGreaterThan(0);
});

const source = (newest: number, isIdle = false): Source => ({
  index: 0,
  name: "",
  newest,
  lastReceived: isIdle ? 0 : 1000,
  stored: new StoredSpans(),
  forgottenThrough: -Infinity,
});

/**
 * Apache Flink, StatusWatermarkValveTest (flink-streaming-java, runtime/streamstatus): channels with watermarks that fall idle and
 * come back. Here a channel is a source, idle when it was not heard of since the last idle check.
 */
describe("Flink's watermark valve", () => {
  const policy = { outOfOrdernessMs: 0, idleTimeoutMs: 10 };
  const after = (watermark: number, ...sources: Source[]) => advanceWatermark(watermark, sources, policy, 100);

  test("the slowest channel that is not idle holds the watermark", () => {
    expect(after(-Infinity, source(25), source(10), source(17))).toBe(10);
    expect(after(10, source(25), source(10, true), source(17))).toBe(17);
    expect(after(17, source(25), source(10, true), source(17, true))).toBe(25);
  });

  test("an idle channel that is not the slowest changes nothing", () => {
    expect(after(-Infinity, source(10), source(5), source(3))).toBe(3);
    expect(after(3, source(10, true), source(5, true), source(3))).toBe(3);
  });

  test("when all are idle the wall clock takes over, where Flink flushes the largest", () => {
    expect(after(3, source(10, true), source(5, true), source(3, true))).toBe(100);
  });

  test("a channel that comes back behind the watermark holds nothing until it has caught up", () => {
    expect(after(-Infinity, source(10), source(7), source(3))).toBe(3);
    expect(after(3, source(10), source(7), source(3, true))).toBe(7);
    expect(after(7, source(10), source(7), source(5))).toBe(7);
    expect(after(7, source(10), source(7), source(9))).toBe(7);
    expect(after(7, source(10), source(12), source(9))).toBe(9);
  });

  test("active channels that are all behind move nothing backwards", () => {
    expect(after(200, source(10), source(12), source(9))).toBe(200);
  });
});
