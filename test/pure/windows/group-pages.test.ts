import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteWriter, CorruptStateError } from "../../../core/bytes.ts";
import type { JsonValue } from "../../../core/events/event.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { GroupPages } from "../../../core/windows/group-pages.ts";
import {
  encodeWindow,
  type GroupState,
  OVERFLOW_KEY,
  readWindow,
  type WindowState,
} from "../../../core/windows/window-state.ts";
import { plan, withParts } from "./simulated-shard.ts";

const definition: Definition = {
  name: "x",
  window: { type: "tumbling", size: "1h" },
  group_by: ["data.k"],
  measures: { n: { fn: "count" }, sum: { fn: "sum", field: "data.n" } },
  max_groups: 200_000,
};
const PLAN = plan(definition);
const NOTHING = { as: "nothing" } as const;
const keyOf = (k: number): string => JSON.stringify([`customer ${k}`]);
const HEAD = { flags: 0, revision: 0 };

function count(group: GroupState, value: number): void {
  group.accumulators[0]?.add(NOTHING, 0, 0, "");
  group.accumulators[1]?.add({ as: "numbers", numbers: Float64Array.of(value) }, 0, 0, "");
}

const shown = (group: GroupState | undefined): JsonValue[] => group?.accumulators.map((state) => state.result(1)) ?? [];

/** Pages of `groups` groups, with the record they were written as. */
function written(groups: number): { pages: GroupPages; record: readonly Uint8Array[] } {
  const pages = GroupPages.empty(PLAN);
  for (let k = 0; k < groups; k++) count(pages.open(keyOf(k)), k);
  return { pages, record: withParts(undefined, pages.encode(HEAD, true)) };
}

const read = (record: readonly Uint8Array[], loaded: number[] = []): GroupPages =>
  GroupPages.read(PLAN, record[0] ?? new Uint8Array(), (page) => {
    loaded.push(page);
    return record[page];
  }).groups;

describe("the groups of a window", () => {
  test("hold what a map would, however they are packed, written and read back", () => {
    const step = fc.oneof(
      { weight: 20, arbitrary: fc.record({ do: fc.constant("count" as const), k: fc.nat(9000), n: fc.nat(9) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("many" as const), k: fc.nat(5000), n: fc.nat(4000) }) },
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constantFrom("pack" as const, "write" as const, "restart" as const) }),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const model = new Map<string, [number, number]>();
        let record: readonly Uint8Array[] | undefined;
        let pages = GroupPages.empty(PLAN);
        const add = (key: string, value: number): void => {
          count(pages.open(key), value);
          const [n, sum] = model.get(key) ?? [0, 0];
          model.set(key, [n + 1, sum + value]);
        };
        for (const one of steps) {
          if (one.do === "count") add(keyOf(one.k), one.n);
          else if (one.do === "many") for (let k = 0; k < one.n; k++) add(keyOf(one.k + k), 1);
          else if (one.do === "pack") pages.pack();
          else {
            record = withParts(record, pages.encode(HEAD, record === undefined));
            if (one.do === "restart") pages = read(record);
          }
        }
        expect(pages.size).toBe(model.size);
        const found = [...pages.values()].map((group): [string, JsonValue[]] => [group.key, shown(group)]);
        expect(new Map(found)).toEqual(model);
        expect(found).toHaveLength(model.size);
        expect(new Set(pages.keys())).toEqual(new Set(model.keys()));
        for (const [key, value] of [...model].slice(0, 20)) expect(shown(pages.get(key))).toEqual(value);
        expect(pages.has("nobody")).toBe(false);
      }),
      { numRuns: 150 },
    );
  });

  test("ten that changed among 50,000 have ten pages written at most, and the first if the number grew", () => {
    const { pages, record } = written(50_000);
    expect(record.length).toBeGreaterThanOrEqual(25);
    for (let k = 0; k < 10; k++) count(pages.open(keyOf(k * 1000)), 1);
    const changed = pages.encode(HEAD, false).filter((part) => part !== null);
    expect(changed.length).toBeLessThanOrEqual(10);
    expect(changed.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(10 * 2 * 64_000);
    expect(pages.encode(HEAD, false).every((part) => part === null)).toBe(true);
    count(pages.open("new"), 1);
    expect(pages.encode(HEAD, false).filter((part) => part !== null).length).toBeLessThanOrEqual(2);
  });

  test("are read from storage page by page, when they are needed", () => {
    const { record } = written(50_000);
    const loaded: number[] = [];
    const pages = read(record, loaded);
    expect([pages.size, loaded]).toEqual([50_000, []]);
    expect(shown(pages.get(keyOf(7)))).toEqual([1, 7]);
    expect(loaded.length).toBeLessThanOrEqual(1);
    expect(pages.retainedBytes()).toBeLessThan(200_000);
  });

  test("take less than 100 bytes each when nobody touches them", () => {
    const { pages } = written(50_000);
    expect(pages.decoded).toBe(0);
    expect(pages.retainedBytes() / 50_000).toBeLessThan(100);
  });

  test("a few stay on one page and decoded, as long as they are in use", () => {
    const { pages, record } = written(100);
    expect([record.length, pages.decoded, pages.isLarge]).toEqual([1, 100, false]);
  });

  test("beyond max_groups count in the overflow group, known ones still in their own", () => {
    const pages = GroupPages.empty(plan({ ...definition, max_groups: 3000 }));
    for (let k = 0; k < 5000; k++) count(pages.open(keyOf(k)), 1);
    pages.pack();
    count(pages.open(keyOf(5)), 1);
    count(pages.open(keyOf(6000)), 1);
    expect([pages.size, shown(pages.get(OVERFLOW_KEY)), shown(pages.get(keyOf(5)))]).toEqual([
      3001,
      [2001, 2001],
      [2, 2],
    ]);
  });

  test("bytes that were not written by it are refused", () => {
    const [first = new Uint8Array()] = written(50).record;
    for (let length = 0; length < first.length; length++) {
      expect(() => [...read([first.subarray(0, length)]).values()]).toThrow(CorruptStateError);
    }
    expect(() => [...read([Uint8Array.of(9, ...first.subarray(1))]).values()]).toThrow(CorruptStateError);
    expect(() => read([Uint8Array.of(2, 0, 0, 40, 1)])).toThrow(CorruptStateError);
    const missing = read([Uint8Array.of(2, 0, 0, 1, 1)]);
    expect(() => [...missing.values()]).toThrow("missing");
  });
});

/** A window's part as it was written before there were pages. */
const partWithoutPages = (keys: readonly string[]): Uint8Array => {
  const writer = new ByteWriter();
  for (const byte of [1, 1]) writer.u8(byte);
  writer.varint(4);
  writer.varint(keys.length);
  for (const key of keys) {
    const group = new ByteWriter();
    group.string(key);
    for (const { measure } of PLAN.measures) measure.create().encode(group);
    writer.bytes(group.toUint8Array());
  }
  return writer.toUint8Array();
};

const readBack = (record: readonly Uint8Array[]): WindowState => {
  const [first] = record;
  if (first === undefined) throw new Error("nothing was written");
  return readWindow(0, 10, first, (k) => (k === undefined ? record : record.slice(k, k + 1)), PLAN);
};

test("a window written before there were pages is read, and written in pages when it changes", () => {
  const old = [partWithoutPages(["a", "b"]), partWithoutPages(["c"])];
  const window = readBack(old);
  expect(window).toMatchObject({ closed: true, revision: 4, partial: false, dirty: false, storedParts: 2 });
  expect([...window.groups.keys()]).toEqual(["a", "b", "c"]);
  count(window.groups.open("b"), 3);
  const record = withParts(undefined, encodeWindow(window));
  expect(record).toHaveLength(1);
  const again = readBack(record);
  expect(again).toMatchObject({ closed: true, revision: 4, storedParts: 1 });
  expect(shown(again.groups.get("b"))).toEqual([1, 3]);
});
