import { describe, expect, test } from "vitest";
import type { Receipt } from "../../../cli/delivery.ts";
import type { Line } from "../../../cli/ship/lines.ts";
import { shipLines } from "../../../cli/ship/shipment.ts";
import type { ShipmentTotals, ShipmentTools } from "../../../cli/ship/shipment.ts";

async function* numbered(texts: readonly string[]): AsyncGenerator<readonly Line[]> {
  for (const [i, text] of texts.entries()) yield [{ number: i + 1, text }];
}

async function* damaged(): AsyncGenerator<readonly Line[]> {
  yield* numbered(["a", "b", "c"]);
  throw new Error("unexpected end of file");
}

function newTotals(): ShipmentTotals {
  return { read: 0, accepted: 0, rejected: 0, unparsed: [] };
}

function tools(deliver: (events: readonly string[]) => Promise<Receipt>): ShipmentTools & { rejectedLines: number[] } {
  const rejectedLines: number[] = [];
  return {
    rejectedLines,
    toEvent: (text) => (text.startsWith("bad") ? null : text),
    deliver,
    onRejected: (line) => void rejectedLines.push(line),
    onProgress: () => undefined,
  };
}

async function accept(events: readonly string[]): Promise<Receipt> {
  return { accepted: events.length, rejections: [] };
}

describe("a shipment", () => {
  test("sends batches of the size asked for, in file order, the last one short", async () => {
    const batches: string[][] = [];
    const totals = newTotals();
    await shipLines(
      numbered(["a", "b", "c", "d", "e"]),
      { batch: 2, concurrency: 1 },
      totals,
      tools(async (events) => {
        batches.push([...events]);
        return { accepted: events.length, rejections: [] };
      }),
    );
    expect(batches).toEqual([["a", "b"], ["c", "d"], ["e"]]);
    expect(totals).toEqual({ read: 5, accepted: 5, rejected: 0, unparsed: [] });
  });

  test("counts lines that do not parse and goes on", async () => {
    const totals = newTotals();
    await shipLines(numbered(["bad", "a", "b", "bad"]), { batch: 10, concurrency: 1 }, totals, tools(accept));
    expect(totals).toEqual({ read: 4, accepted: 2, rejected: 0, unparsed: [1, 4] });
  });

  test("names the line of an event that was rejected", async () => {
    const totals = newTotals();
    const some = tools(async (events) => ({
      accepted: events.length - 1,
      rejections: [{ index: 1, reason: "too_large", message: "" }],
    }));
    await shipLines(numbered(["a", "bad", "b", "c"]), { batch: 3, concurrency: 1 }, totals, some);
    expect(some.rejectedLines).toEqual([3]);
    expect(totals).toEqual({ read: 4, accepted: 2, rejected: 1, unparsed: [2] });
  });

  test.each([1, 3])("never has more than %i batches in flight", async (concurrency) => {
    let inFlight = 0;
    let most = 0;
    const slow = tools(async (events) => {
      most = Math.max(most, ++inFlight);
      await new Promise((later) => setImmediate(later));
      inFlight--;
      return { accepted: events.length, rejections: [] };
    });
    const totals = newTotals();
    await shipLines(numbered(Array.from({ length: 20 }, (_, i) => `${i}`)), { batch: 1, concurrency }, totals, slow);
    expect(most).toBe(concurrency);
    expect(totals.accepted).toBe(20);
  });

  test("stops at a failure and keeps what was done before it", async () => {
    let calls = 0;
    const failing = tools(async (events) => {
      if (++calls === 3) throw new Error("no more");
      return { accepted: events.length, rejections: [] };
    });
    const totals = newTotals();
    const lines = numbered(Array.from({ length: 100 }, (_, i) => `${i}`));
    await expect(shipLines(lines, { batch: 1, concurrency: 1 }, totals, failing)).rejects.toThrow("no more");
    expect(calls).toBe(3);
    expect(totals.accepted).toBe(2);
  });

  test("ships what could be read of a damaged file, and then says that it is damaged", async () => {
    const totals = newTotals();
    await expect(shipLines(damaged(), { batch: 2, concurrency: 2 }, totals, tools(accept))).rejects.toThrow(
      "unexpected end of file",
    );
    expect(totals).toEqual({ read: 3, accepted: 3, rejected: 0, unparsed: [] });
  });

  test("closes a batch before it grows past 4 MB", async () => {
    const sizes: number[] = [];
    const long = "x".repeat(900_000);
    await shipLines(
      numbered([long, long, long, long, long]),
      { batch: 10, concurrency: 1 },
      newTotals(),
      tools(async (events) => {
        sizes.push(events.length);
        return { accepted: events.length, rejections: [] };
      }),
    );
    expect(sizes).toEqual([4, 1]);
  });
});
