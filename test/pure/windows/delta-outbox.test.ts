import { describe, expect, test } from "vitest";
import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { MAX_DELTA_EVENTS } from "../../../core/windows/delta-builder.ts";
import { DeltaOutbox, type ReadLog } from "../../../core/windows/delta-outbox.ts";
import { decodeDelta, decodeDeltaHead, type DeltaHead } from "../../../core/windows/delta.ts";
import { NOTHING_LOADED } from "../../../core/windows/aggregation.ts";
import { ShardMachine } from "../../../core/windows/shard-machine.ts";
import type { ShardTotals } from "../../../core/windows/shard-cursors.ts";
import { T0 } from "./every-window-type.ts";
import { allRows, plan } from "./simulated-shard.ts";

const perMinute: Definition = {
  name: "per_minute",
  window: { type: "tumbling", size: "1m" },
  measures: { events: { fn: "count" } },
};

/** A shard's outbox over a log that is never trimmed, and a home that merges when it is asked to. */
class Line {
  readonly home: ShardMachine;
  readonly outbox: DeltaOutbox;
  totals: ShardTotals = { applied: 0, duplicates: 0, storedBytes: 0 };
  readonly #log: EventBatch[] = [];
  /** How often the log was read. */
  reads = 0;

  constructor(definition: Definition) {
    this.home = new ShardMachine(undefined, [{ id: 1, plan: plan(definition) }], NOTHING_LOADED, () => {});
    this.outbox = new DeltaOutbox({ shard: 1, incarnation: "life", totals: () => this.totals }, 0);
  }

  count(events: readonly StreamEvent[]): void {
    const batch = EventBatch.fromEvents(events);
    this.#log.push(batch);
    this.totals = { ...this.totals, applied: this.totals.applied + batch.length };
    this.outbox.note(batch, allRows(batch));
  }

  take(): { head: DeltaHead; bytes: Uint8Array } {
    const { bytes } = this.outbox.take(this.#readLog);
    return { head: decodeDeltaHead(bytes), bytes };
  }

  /** Home merges the next delta, if it awaits it, and the answer arrives. */
  ship(): DeltaHead {
    const { head, bytes } = this.take();
    if (this.home.awaits(head) && this.home.brings(head))
      this.home.merge(decodeDelta(bytes, () => [...this.home.aggregations.values()][0]?.plan));
    this.outbox.settle(this.home.answer(head));
    return head;
  }

  shipAll(): DeltaHead[] {
    const heads: DeltaHead[] = [];
    while (this.outbox.hasNews) heads.push(this.ship());
    return heads;
  }

  readonly #readLog: ReadLog = (fromSeq) => {
    this.reads++;
    return this.#rowsFrom(fromSeq);
  };

  *#rowsFrom(fromSeq: number): ReturnType<ReadLog> {
    let seq = 0;
    for (const batch of this.#log) {
      if (seq + batch.length > fromSeq) yield { batch, rows: allRows(batch).subarray(Math.max(0, fromSeq - seq)) };
      seq += batch.length;
    }
  }
}

let made = 0;
const events = (count: number, data: StreamEvent["data"] = {}): StreamEvent[] =>
  Array.from({ length: count }, () => {
    const k = made++;
    const timestamp = T0 + k * 10;
    return {
      id: `e${k}`,
      type: "t",
      source: "a",
      timestamp,
      receivedAt: timestamp,
      severity: "low",
      data,
      metadata: {},
    };
  });

const ranges = (heads: readonly DeltaHead[]): (readonly [number, number])[] =>
  heads.filter(({ from, to }) => to > from).map(({ from, to }) => [from, to]);

describe("an outbox", () => {
  test("asks for the definitions first, and from then on counts events as they come, without the log", () => {
    const line = new Line(perMinute);
    line.count(events(5));
    expect(line.ship()).toMatchObject({ from: 0, to: 0, epoch: "" });
    expect(line.ship()).toMatchObject({ from: 0, to: 5 });
    const { reads } = line;
    for (let k = 0; k < 3; k++) {
      line.count(events(7));
      expect(line.ship()).toMatchObject({ from: 5 + 7 * k, to: 12 + 7 * k });
    }
    expect(line.reads).toBe(reads);
    expect(line.outbox.hasNews).toBe(false);
    expect(line.home.stats.total).toBe(26);
  });

  test("gives the same delta until its answer has come", () => {
    const line = new Line(perMinute);
    line.ship();
    line.count(events(5));
    const { bytes } = line.take();
    line.count(events(5));
    expect(line.take().bytes).toEqual(bytes);
    expect(line.ship()).toMatchObject({ from: 0, to: 5 });
    expect(line.ship()).toMatchObject({ from: 5, to: 10 });
  });

  test("holds a bounded number of events in memory while home is away, and sends all of them from the log", () => {
    const line = new Line(perMinute);
    line.ship();
    for (let k = 0; k < 40; k++) line.count(events(5000));
    expect(line.outbox.isFull).toBe(true);
    expect(line.outbox.waiting).toBe(200_000);
    const heads = line.shipAll();
    expect(line.home.stats.total).toBe(200_000);
    expect(heads.every(({ from, to }) => to - from <= MAX_DELTA_EVENTS)).toBe(true);
    expect(ranges(heads).map(([from]) => from)).toEqual([
      0,
      ...ranges(heads)
        .map(([, to]) => to)
        .slice(0, -1),
    ]);
    // Four were ready; the other six had to be counted again.
    expect(line.reads).toBe(6);
  });

  test("cuts a delta that is too large for a call, down to where it fits", () => {
    const last = { fn: "last", field: "data.text" } as const;
    const measures = {
      a: last,
      b: { ...last, filter: "event.type == 't'" },
      c: { ...last, filter: "event.source == 'a'" },
    };
    const line = new Line({ name: "l", window: { type: "tumbling", size: "100ms" }, measures });
    line.ship();
    for (let k = 0; k < 4; k++)
      line.count(events(100, { text: "x".repeat(30_000) }).map((one) => ({ ...one, timestamp: one.timestamp * 7 })));
    const sizes: number[] = [];
    while (line.outbox.waiting > 0) {
      sizes.push(line.take().bytes.length);
      line.ship();
    }
    expect(line.home.stats.total).toBe(400);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(8_000_000);
    expect(sizes.length).toBeGreaterThan(1);
  });

  test("says what was applied by its end only: what home does not have yet is still on its way", () => {
    const line = new Line(perMinute);
    line.ship();
    for (let k = 0; k < 24; k++) line.count(events(5000));
    line.totals = { applied: line.totals.applied + 3, duplicates: 3, storedBytes: 1 };
    const merged: number[] = [];
    while (line.outbox.hasNews) {
      const head = line.ship();
      const { applied } = line.home.shards.totals;
      expect(applied).toBeLessThanOrEqual(line.totals.applied - (120_000 - head.to));
      merged.push(applied);
    }
    expect(merged.at(-1)).toBe(120_003);
    expect(line.home.allDuplicates).toBe(3);
  });

  test("tells totals that changed without an event, once", () => {
    const line = new Line(perMinute);
    line.count(events(5));
    line.shipAll();
    line.totals = { ...line.totals, applied: 6, duplicates: 1 };
    expect(line.outbox.hasNews).toBe(true);
    expect(line.shipAll()).toMatchObject([{ from: 5, to: 5 }]);
    expect(line.home.allDuplicates).toBe(1);
  });

  test("goes back to where home is, and does not believe in events it never had", () => {
    const line = new Line(perMinute);
    line.ship();
    line.count(events(5));
    line.ship();
    const answer = line.home.answer(line.take().head);
    line.outbox.settle({ ...answer, cursor: 2 });
    expect(line.outbox.waiting).toBe(3);
    expect(line.take().head).toMatchObject({ from: 2, to: 5 });
    expect(() => line.outbox.settle({ ...answer, cursor: 6 })).toThrow(RangeError);
  });

  test("counts again by new definitions what had not been merged by the old ones", () => {
    const line = new Line(perMinute);
    line.count(events(5));
    line.shipAll();
    line.count(events(5));
    line.home.define(2, 1, plan({ ...perMinute, name: "new" }));
    const heads = line.shipAll();
    expect(ranges(heads)).toEqual([
      [5, 10],
      [5, 10],
    ]);
    expect(line.home.stats.total).toBe(10);
  });
});
