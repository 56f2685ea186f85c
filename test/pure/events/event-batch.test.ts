import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonValue, StreamEvent } from "../../../core/events/event.ts";
import { ColumnarBuilder, CorruptBatchError, EventBatch } from "../../../core/events/event-batch.ts";
import { bags, events } from "./arbitrary.ts";

const EVENT: StreamEvent = {
  id: "e1",
  type: "web.request",
  source: "web",
  timestamp: 1_700_000_000_123,
  receivedAt: 1_700_000_000_500,
  severity: "medium",
  data: {},
  metadata: {},
};

function withData(data: StreamEvent["data"][]): StreamEvent[] {
  return data.map((bag, row) => ({ ...EVENT, id: `e${row}`, data: bag }));
}

/** 60 keys, numbered from `from`. */
function wide(from: number): StreamEvent["data"] {
  return Object.fromEntries(Array.from({ length: 60 }, (_, key) => [`k${from + key}`, from * 1000 + key]));
}

function rowsOf(batch: EventBatch): StreamEvent[] {
  return Array.from({ length: batch.length }, (_, row) => batch.event(row));
}

/** A batch's text, parsed, to be spoilt. */
function valid(): Record<string, unknown> {
  const builder = new ColumnarBuilder();
  for (const event of withData([{ a: 1 }, { a: 2 }, {}])) builder.add(event);
  return JSON.parse(builder.toText()) as Record<string, unknown>;
}

function valuesOf(batch: EventBatch, path: string[]): (JsonValue | undefined)[] {
  const { values, index } = batch.column(path);
  return Array.from(index, (at) => values[at]);
}

describe("columnar text", () => {
  test("any events come back equal, row by row", () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 40 }), (list) => {
        expect(rowsOf(EventBatch.fromEvents(list))).toStrictEqual(list);
      }),
    );
  });

  test("some rows of any batch are a batch of exactly these events, in the order given, also when selected again", () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 40 }), fc.array(fc.nat(39)), (list, wanted) => {
        const rows = Uint32Array.from(new Set(wanted.filter((row) => row < list.length)));
        const selected = EventBatch.fromText(EventBatch.fromEvents(list).select(rows));
        const expected = Array.from(rows, (row) => list[row]);
        expect(rowsOf(selected)).toStrictEqual(expected);
        const back = Uint32Array.from(rows.keys()).toReversed();
        expect(rowsOf(EventBatch.fromText(selected.select(back)))).toStrictEqual(expected.toReversed());
      }),
    );
  });

  test("some rows keep their values in columns of every kind: constant, narrow and wide dictionary, plain, shared by many keys", () => {
    const list = withData(
      Array.from({ length: 400 }, (_, k) => ({
        constant: "c",
        narrow: k % 7,
        wide: `w${k % 200}`,
        plain: `unique ${k}`,
        ...(k % 3 === 0 ? { sparse: `unique ${-k}`, few: k % 2 } : {}),
        ...(k % 40 === 0 ? { ...wide(k), ...wide(k + 60) } : {}),
      })),
    );
    const batch = EventBatch.fromEvents(list);
    for (const step of [1, 2, 3, 7, 399]) {
      const rows = Uint32Array.from([...list.keys()].filter((row) => row % step === step - 1));
      expect(rowsOf(EventBatch.fromText(batch.select(rows)))).toStrictEqual(Array.from(rows, (row) => list[row]));
    }
  });

  test("some rows take no more bytes than when they are built anew, by more than a tenth", () => {
    const list = withData(
      Array.from({ length: 500 }, (_, k) => ({ path: `/p/${k % 90}`, n: k, only: k < 10 ? "x" : "y" })),
    );
    const rows = Uint32Array.from({ length: 125 }, (_, k) => k * 4);
    const anew = new ColumnarBuilder();
    for (const row of rows) anew.add(list[row] ?? EVENT);
    const selected = EventBatch.fromEvents(list).select(rows);
    expect(selected.length).toBeLessThan(anew.toText().length * 1.1);
  });

  test("a column holds what the rows hold, for keys that some rows lack", () => {
    fc.assert(
      fc.property(fc.array(bags, { maxLength: 40 }), fc.constantFrom("a", "a.b", "", "client"), (list, key) => {
        expect(valuesOf(EventBatch.fromEvents(withData(list)), ["data", key])).toStrictEqual(
          list.map((bag) => (Object.hasOwn(bag, key) ? bag[key] : undefined)),
        );
      }),
    );
  });

  test("null and absent stay apart, and so do values that print alike", () => {
    const list = withData([{ a: null }, {}, { a: "null" }, { a: 1 }, { a: "1" }, { a: [] }, { a: "[]" }]);
    expect(valuesOf(EventBatch.fromEvents(list), ["data", "a"])).toStrictEqual([
      null,
      undefined,
      "null",
      1,
      "1",
      [],
      "[]",
    ]);
  });

  test("a key with a dot is not a path", () => {
    const batch = EventBatch.fromEvents(withData([{ "client.ip": "dotted", client: { ip: "nested" } }]));
    expect(valuesOf(batch, ["data", "client.ip"])).toEqual(["dotted"]);
    expect(valuesOf(batch, ["data", "client", "ip"])).toEqual(["nested"]);
  });

  test("a path into something that is no object, or into what objects inherit, is absent", () => {
    const batch = EventBatch.fromEvents(withData([{ a: "text" }, { a: ["x"] }, { a: null }, { a: {} }]));
    expect(valuesOf(batch, ["data", "a", "length"])).toEqual([undefined, undefined, undefined, undefined]);
    expect(valuesOf(batch, ["data", "a", "toString"])).toEqual([undefined, undefined, undefined, undefined]);
  });

  test("a few repeating values make a dictionary of a few entries", () => {
    const batch = EventBatch.fromEvents(
      withData(Array.from({ length: 5000 }, (_, row) => ({ status: row % 3, n: row }))),
    );
    expect(batch.column(["data", "status"]).values.filter((value) => value !== undefined)).toEqual([0, 1, 2]);
    expect(batch.column(["type"]).values.filter((value) => value !== undefined)).toEqual(["web.request"]);
  });

  test.each([62, 63, 64, 65, 127, 128, 129, 4094, 4095, 4096, 9000])(
    "%i distinct values in 10,000 rows come back",
    (distinct) => {
      const list = withData(
        Array.from({ length: 10_000 }, (_, row) => (row % 7 === 0 ? {} : { a: (row * 31) % distinct })),
      );
      expect(valuesOf(EventBatch.fromEvents(list), ["data", "a"])).toEqual(list.map(({ data }) => data["a"]));
    },
  );

  test("a column that is nearly all distinct is stored plainly, absent rows included", () => {
    const list = withData(Array.from({ length: 1000 }, (_, row) => (row % 10 === 0 ? {} : { a: { deep: `v${row}` } })));
    const batch = EventBatch.fromEvents(list);
    expect(valuesOf(batch, ["data", "a", "deep"])).toEqual(
      list.map((_, row) => (row % 10 === 0 ? undefined : `v${row}`)),
    );
    expect(rowsOf(batch)).toStrictEqual(list);
  });

  test("more than 64 distinct keys come back, by row and by column", () => {
    const list = withData([wide(0), wide(30), wide(60), {}, wide(90)]);
    const batch = EventBatch.fromEvents(list);
    expect(rowsOf(batch)).toStrictEqual(list);
    expect(valuesOf(batch, ["data", "k0"])).toEqual([0, undefined, undefined, undefined, undefined]);
    expect(valuesOf(batch, ["data", "k100"])).toEqual([undefined, undefined, 60_040, undefined, 90_010]);
    expect(valuesOf(batch, ["data", "k999"])).toEqual([undefined, undefined, undefined, undefined, undefined]);
  });

  test("lone surrogates survive, and the text itself is well-formed Unicode", () => {
    const builder = new ColumnarBuilder();
    builder.add({ ...EVENT, data: { "\ud800": "\udfff x" } });
    const text = builder.toText();
    expect(text.isWellFormed()).toBe(true);
    expect(EventBatch.fromText(text).event(0).data).toStrictEqual({ "\ud800": "\udfff x" });
  });

  test("times come back whether equal, ordered or not", () => {
    const times = [5, 5, 4_000_000_000_000, 0, 1_700_000_000_123];
    const batch = EventBatch.fromEvents(times.map((timestamp) => ({ ...EVENT, timestamp })));
    expect(Array.from(batch.timestamps)).toEqual(times);
    expect(Array.from(batch.receivedAt)).toEqual(times.map(() => EVENT.receivedAt));
    expect(valuesOf(batch, ["timestamp"])).toEqual(times);
  });

  test("the whole event is a column of objects with the API's field names", () => {
    const batch = EventBatch.fromEvents([{ ...EVENT, user_id: "u", data: { a: 1 }, timestampAssigned: true }]);
    expect(valuesOf(batch, [])).toEqual([
      {
        id: "e1",
        type: "web.request",
        source: "web",
        timestamp: 1_700_000_000_123,
        received_at: 1_700_000_000_500,
        severity: "medium",
        data: { a: 1 },
        metadata: {},
        user_id: "u",
      },
    ]);
    expect(valuesOf(batch, ["data"])).toEqual([{ a: 1 }]);
    expect(valuesOf(batch, ["nothing", "here"])).toEqual([undefined]);
    expect(batch.isTimestampAssigned(0)).toBe(true);
  });

  test("an empty batch is a batch", () => {
    const batch = EventBatch.fromEvents([]);
    expect(batch.length).toBe(0);
    expect(batch.column(["data", "a"]).index.length).toBe(0);
  });
});

describe("corrupt text", () => {
  test.each([
    ["not JSON", "{"],
    ["null", "null"],
    ["another version", JSON.stringify({ ...valid(), v: 2 })],
    ["an id too few", JSON.stringify({ ...valid(), id: ["e0", "e1"] })],
    ["no times", JSON.stringify({ ...valid(), ts: undefined })],
    ["times that do not fit", JSON.stringify({ ...valid(), ts: [1, 2] })],
    ["a time that is no number", JSON.stringify({ ...valid(), ts: [1, "x", 2] })],
    ["no data", JSON.stringify({ ...valid(), data: undefined })],
    ["columns that are no list", JSON.stringify({ ...valid(), data: { k: {} } })],
    ["a column named __proto__", JSON.stringify({ ...valid(), data: { k: [["__proto__", { d: [1] }]] } })],
  ])("%s is refused at once", (_, text) => {
    expect(() => EventBatch.fromText(text)).toThrow(CorruptBatchError);
  });

  test.each([
    ["codes too few", { d: [1], i: "AB" }],
    ["a code beyond the dictionary", { d: [1], i: "ABC" }],
    ["a character that is no code", { d: [1], i: "A!B" }],
    ["a character beyond Latin-1", { d: [1], i: "A\u0141B" }],
    ["two constants", { d: [1, 2] }],
    ["values too few", { p: [1, 2] }],
    ["presence that does not fit the values", { p: [1, 2], m: "BBB" }],
    ["a dictionary that is no list", { d: "x", i: "AAA" }],
  ])("a column with %s is refused when it is used", (_, column) => {
    const batch = EventBatch.fromText(JSON.stringify({ ...valid(), data: { k: [["a", column]] } }));
    expect(() => batch.column(["data", "a"])).toThrow(CorruptBatchError);
    expect(() => batch.event(0)).toThrow(CorruptBatchError);
    expect(valuesOf(batch, ["type"])).toEqual(["web.request", "web.request", "web.request"]);
  });
});
