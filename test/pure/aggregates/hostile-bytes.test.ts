import { describe, expect, test } from "vitest";
import type { MeasureFunction } from "../../../core/aggregates/accumulator.ts";
import { MAX_BINS } from "../../../core/aggregates/bin-counts.ts";
import { compileMeasure } from "../../../core/aggregates/measures.ts";
import { ByteReader, ByteWriter, CorruptStateError } from "../../../core/bytes.ts";
import type { JsonValue } from "../../../core/events/event.ts";
import { accumulate, DISTRIBUTIONS, encoded, randomFrom, throughBytes } from "./samples.ts";

const HOUR = 3_600_000;
const MUTATIONS_PER_STATE = 400;
/** What a few kilobytes of hostile input may make a state allocate. */
const MAX_STATE_BYTES = 1_000_000;

const users = (n: number): JsonValue[] => Array.from({ length: n }, (_, k) => `user-${k}`);
const MIXED: (JsonValue | undefined)[] = [
  1,
  -2.5,
  1e300,
  5e-324,
  0,
  "text",
  "\0",
  null,
  undefined,
  true,
  [1, { a: "b" }],
  "1",
];
const INPUTS: (JsonValue | undefined)[][] = [
  [],
  [3],
  MIXED,
  DISTRIBUTIONS["mixed sign"]?.(300) ?? [],
  users(200),
  users(4000),
];

const MEASURES: Record<string, MeasureFunction> = {
  count: compileMeasure({ fn: "count" }),
  rate: compileMeasure({ fn: "rate", field: "x" }),
  sum: compileMeasure({ fn: "sum" }),
  avg: compileMeasure({ fn: "avg" }),
  min: compileMeasure({ fn: "min" }),
  max: compileMeasure({ fn: "max" }),
  stddev: compileMeasure({ fn: "stddev" }),
  first: compileMeasure({ fn: "first" }),
  last: compileMeasure({ fn: "last" }),
  distinct: compileMeasure({ fn: "distinct" }),
  quantile: compileMeasure({ fn: "quantile", q: 0.5 }),
  top: compileMeasure({ fn: "top", k: 5 }),
};

/** Flips, overwrites, cuts, repeats or inserts a few bytes. */
function mutated(bytes: Uint8Array, random: () => number): Uint8Array {
  let list = [...bytes];
  const at = () => Math.floor(random() * (list.length + 1));
  const loud = [0, 1, 2, 0x7f, 0x80, 0xff];
  for (let k = 1 + Math.floor(random() * 3); k > 0; k--) {
    const place = at();
    const kind = Math.floor(random() * 6);
    if (kind === 0 && place < list.length) list[place] = (list[place] ?? 0) ^ (1 << Math.floor(random() * 8));
    else if (kind === 1 && place < list.length) list[place] = loud[Math.floor(random() * loud.length)] ?? 0;
    else if (kind === 2) list = list.slice(0, place);
    else if (kind === 3) list.splice(place, 0, ...list.slice(at(), at()).slice(0, 50));
    else if (kind === 4) list.splice(place, 0, ...Array.from({ length: 8 }, () => 0xff));
    else list.splice(place, 1 + Math.floor(random() * 8));
  }
  return Uint8Array.from(list);
}

/** A state that was read must be good for everything a state is for. */
function useFully(measure: MeasureFunction, bytes: Uint8Array): void {
  const state = measure.decode(new ByteReader(bytes));
  expect(state.retainedBytes()).toBeLessThan(MAX_STATE_BYTES);
  const result = state.result(HOUR);
  expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  state.merge(accumulate(measure, MIXED));
  accumulate(measure, MIXED).merge(state);
  expect(throughBytes(measure, state).result(HOUR)).toEqual(state.result(HOUR));
}

function outcomeOf(measure: MeasureFunction, bytes: Uint8Array): "used" | "refused" {
  try {
    useFully(measure, bytes);
    return "used";
  } catch (error) {
    if (error instanceof CorruptStateError) return "refused";
    throw new Error(`seeded mutation ${Buffer.from(bytes.subarray(0, 200)).toString("hex")}`, { cause: error });
  }
}

describe.each(Object.entries(MEASURES))("%s", (name, measure) => {
  test("reads damaged states into something usable or refuses them, nothing else", () => {
    const random = randomFrom(name.length);
    const outcomes = { used: 0, refused: 0 };
    for (const input of INPUTS) {
      const valid = encoded(accumulate(measure, input));
      for (let k = 0; k < MUTATIONS_PER_STATE; k++) outcomes[outcomeOf(measure, mutated(valid, random))]++;
    }
    expect(outcomes.refused).toBeGreaterThan(100);
    expect(outcomes.used).toBeGreaterThan(0);
  });

  test("refuses every state that was cut short", () => {
    for (const input of INPUTS.slice(0, 5)) {
      const valid = encoded(accumulate(measure, input));
      for (let length = 0; length < valid.length; length++) {
        expect(() => measure.decode(new ByteReader(valid.subarray(0, length))), `${length} of ${valid.length}`).toThrow(
          CorruptStateError,
        );
      }
    }
  });

  test("refuses another version", () => {
    const bytes = encoded(accumulate(measure, MIXED));
    bytes[0] = 2;
    expect(() => measure.decode(new ByteReader(bytes))).toThrow(/version 2/);
  });
});

describe("a forged state is refused", () => {
  const cases: Record<string, [string, (writer: ByteWriter) => void]> = {
    "a count beyond 2^48": ["count", (writer) => writer.varint(2 ** 48 + 1)],
    "a sum whose integer part is NaN": [
      "sum",
      (writer) => {
        writer.varint(0);
        writer.f64(Number.NaN);
      },
    ],
    "a sum of a fraction in the integer part": [
      "sum",
      (writer) => {
        writer.varint(0);
        writer.f64(0.5);
      },
    ],
    "a sum of too many limbs": [
      "sum",
      (writer) => {
        writer.varint(143);
        writer.raw(new Uint8Array(1000));
      },
    ],
    "a sum with a limb out of reach": [
      "sum",
      (writer) => {
        writer.varint(1);
        writer.varint(142);
        writer.varint(2);
      },
    ],
    "a sum with a top limb of 2^32": [
      "sum",
      (writer) => {
        writer.varint(1);
        writer.varint(60);
        writer.signedVarint(-(2 ** 32));
      },
    ],
    "an infinite minimum": [
      "min",
      (writer) => {
        writer.u8(1);
        writer.f64(-Infinity);
      },
    ],
    "a maximum that is NaN": [
      "max",
      (writer) => {
        writer.u8(1);
        writer.f64(Number.NaN);
      },
    ],
    "a first without a time": [
      "first",
      (writer) => {
        writer.u8(1);
        writer.f64(Number.NaN);
        writer.string("id");
        writer.string("1");
      },
    ],
    "a last that is not JSON": [
      "last",
      (writer) => {
        writer.u8(1);
        writer.f64(1);
        writer.string("id");
        writer.string("{");
      },
    ],
    "sparse registers out of order": [
      "distinct",
      (writer) => writeCodes(writer, [64 * 9 + 1, 64 * 8 + 1 - (64 * 9 + 1) + 2 ** 31]),
    ],
    "one sparse register twice": ["distinct", (writer) => writeCodes(writer, [64 * 9 + 1, 1])],
    "a sparse register of value 0": ["distinct", (writer) => writeCodes(writer, [64 * 9])],
    "a sparse register of value 41": ["distinct", (writer) => writeCodes(writer, [64 * 9 + 41])],
    "a sparse register beyond 2^25": ["distinct", (writer) => writeCodes(writer, [2 ** 31 + 1])],
    "more sparse registers than there may be": [
      "distinct",
      (writer) =>
        writeCodes(
          writer,
          Array.from({ length: 3073 }, (_, k) => (k === 0 ? 65 : 64)),
        ),
    ],
    "a dense register of value 52": [
      "distinct",
      (writer) => {
        writer.u8(1);
        writer.raw(new Uint8Array(12_288).fill(0b110100));
      },
    ],
    "a distinct of a third form": ["distinct", (writer) => writer.u8(2)],
    "more bins than there may be": [
      "quantile",
      (writer) =>
        writeBins(
          writer,
          Array.from({ length: MAX_BINS + 1 }, () => [1, 1]),
        ),
    ],
    "a bin beyond the largest double": ["quantile", (writer) => writeBins(writer, [[36_000, 1]])],
    "a bin below the smallest": ["quantile", (writer) => writeBins(writer, [[-36_000, 1]])],
    "a bin that comes twice": [
      "quantile",
      (writer) =>
        writeBins(writer, [
          [5, 1],
          [0, 1],
        ]),
    ],
    "a bin that counts nothing": ["quantile", (writer) => writeBins(writer, [[5, 0]])],
    "a bin that counts more than 2^48": ["quantile", (writer) => writeBins(writer, [[5, 2 ** 48 + 1]])],
    "bins that together count more than 2^48": [
      "quantile",
      (writer) =>
        writeBins(writer, [
          [5, 2 ** 48],
          [1, 1],
        ]),
    ],
    "quantiles between NaN and NaN": ["quantile", (writer) => writeBins(writer, [[5, 1]], [Number.NaN, Number.NaN])],
    "quantiles of which the least is the greater": ["quantile", (writer) => writeBins(writer, [[5, 1]], [2, 1])],
    "a top value that comes twice": [
      "top",
      (writer) =>
        writeCounters(writer, [
          ["1", 1],
          ["1.0", 1],
        ]),
    ],
    "a top value counted 0 times": ["top", (writer) => writeCounters(writer, [["1", 0]])],
    "a top value of null": ["top", (writer) => writeCounters(writer, [["null", 1]])],
    "a top value that is not JSON": ["top", (writer) => writeCounters(writer, [["x", 1]])],
    "more top values than twice the capacity": [
      "top",
      (writer) =>
        writeCounters(
          writer,
          Array.from({ length: 2001 }, (_, k) => [String(k), 1]),
        ),
    ],
  };

  test.each(Object.entries(cases))("%s", (_name, [fn, write]) => {
    const writer = new ByteWriter();
    writer.u8(1);
    write(writer);
    const reader = new ByteReader(writer.toUint8Array());
    expect(() => MEASURES[fn]?.decode(reader)).toThrow(CorruptStateError);
  });
});

test("the writers of forged states can write good ones", () => {
  expect(resultOf("distinct", (writer) => writeCodes(writer, [64 * 9 + 1, 64]))).toBe(2);
  expect(
    resultOf("quantile", (writer) =>
      writeBins(writer, [
        [5, 1],
        [1, 1],
      ]),
    ),
  ).toBe(1);
  expect(resultOf("top", (writer) => writeCounters(writer, [["1", 3]]))).toEqual([{ value: 1, count: 3 }]);
});

test("a distinct count whose every register is full is still a safe integer", () => {
  const full = [0b11001111, 0b00111100, 0b11110011];
  const write = (writer: ByteWriter): void => {
    writer.u8(1);
    for (let k = 0; k < 12_288; k++) writer.u8(full[k % 3] ?? 0);
  };
  expect(resultOf("distinct", write)).toBe(Number.MAX_SAFE_INTEGER);
});

function resultOf(fn: string, write: (writer: ByteWriter) => void): JsonValue | undefined {
  const writer = new ByteWriter();
  writer.u8(1);
  write(writer);
  const reader = new ByteReader(writer.toUint8Array());
  const result = MEASURES[fn]?.decode(reader).result(HOUR);
  reader.end();
  return result;
}

function writeCodes(writer: ByteWriter, deltas: readonly number[]): void {
  writer.u8(0);
  writer.varint(deltas.length);
  for (const delta of deltas) writer.varint(delta);
}

function writeBins(
  writer: ByteWriter,
  bins: readonly (readonly [number, number])[],
  range: readonly number[] = [1, 2],
): void {
  writer.varint(0);
  writer.varint(0);
  writer.varint(bins.length);
  for (const [at, [index, count]] of bins.entries()) {
    if (at === 0) writer.signedVarint(index);
    else writer.varint(index);
    writer.varint(count);
  }
  for (const end of range) writer.f64(end);
}

function writeCounters(writer: ByteWriter, counters: readonly (readonly [string, number])[]): void {
  writer.varint(0);
  writer.varint(counters.length);
  for (const [text, count] of counters) {
    writer.string(text);
    writer.varint(count);
  }
}
