import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StreamEvent } from "../../../core/events/event.ts";
import { EventBatch } from "../../../core/events/event-batch.ts";
import {
  MAX_MESSAGE_BYTES,
  MAX_MESSAGE_TEXT_BYTES,
  type EventMessage,
  TARGET_MESSAGE_BYTES,
  isEventMessage,
} from "../../../core/events/message.ts";
import { inflatedBytes, unpackChunk } from "../../../storage/chunk.ts";
import {
  type PackedMessage,
  groupForSending,
  packMessages,
  sendMessages,
} from "../../../workers/ingest/queue-producer.ts";

function eventsOf(count: number, data: (row: number) => StreamEvent["data"]): StreamEvent[] {
  return Array.from({ length: count }, (_, row) => ({
    id: `e${row}`,
    type: "web.request",
    source: "web",
    timestamp: 1_700_000_000_000 + row,
    receivedAt: 1_700_000_000_000,
    severity: "medium",
    data: data(row),
    metadata: {},
  }));
}

/** Text that no compressor makes smaller than three quarters. */
function noise(seed: number, length: number): string {
  let state = seed + 1;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return String.fromCharCode(33 + (state >>> 26));
  }).join("");
}

function pack(events: readonly StreamEvent[], jsonBytes = JSON.stringify(events).length): PackedMessage[] {
  let batches = 0;
  return packMessages(events, jsonBytes, { tenant: "t", acceptedAt: 5, newBatchId: () => `b${batches++}` });
}

/** Events as of an access log. */
function ordinary(count: number): StreamEvent[] {
  return eventsOf(count, (row) => ({
    client_ip: `10.0.${row % 200}.1`,
    path: `/p/${row % 300}`,
    status: 200,
    bytes: row * 31,
    agent: `agent ${row % 40}`,
  }));
}

/** One message of each size, not real ones. */
function packedOf(sizes: readonly number[]): PackedMessage[] {
  return sizes.map((bytes, row) => ({
    message: { v: 1, tenant: "t", batch: "b", n: 1, acceptedAt: 0, body: new Uint8Array(bytes) },
    from: row,
    to: row + 1,
  }));
}

function idsIn(packed: readonly PackedMessage[]): string[] {
  return packed.flatMap(({ message }) => [...EventBatch.fromText(unpackChunk(message.body)).ids]);
}

describe("packing", () => {
  test.each<[string, StreamEvent[]]>([
    ["500 ordinary events", eventsOf(500, (row) => ({ path: `/p/${row % 50}`, status: 200 }))],
    ["10,000 ordinary events", eventsOf(10_000, (row) => ({ path: `/p/${row}`, bytes: row * 77 }))],
    ["10,000 equal events", eventsOf(10_000, () => ({ a: 1 }))],
    ["incompressible events", eventsOf(600, (row) => ({ noise: noise(row, 2_000) }))],
    ["the largest events", eventsOf(40, (row) => ({ noise: noise(row, 31_800) }))],
    ["small events, then large ones", eventsOf(2_000, (row) => ({ noise: noise(row, row < 1_990 ? 5 : 30_000) }))],
    ["large repetitive events", eventsOf(400, (row) => ({ text: String(row % 7).repeat(31_000), other: row }))],
    ["events of wide characters", eventsOf(600, (row) => ({ text: "\u4e2d".repeat(10_000), other: row }))],
  ])("%s keeps every event, in order and within the limits", (_, events) => {
    const packed = pack(events);
    expect(idsIn(packed)).toEqual(events.map(({ id }) => id));
    for (const { message, from, to } of packed) {
      expect(isEventMessage(message)).toBe(true);
      expect(message).toMatchObject({ v: 1, tenant: "t", acceptedAt: 5, n: to - from });
      expect(message.body.length).toBeLessThanOrEqual(to - from > 1 ? TARGET_MESSAGE_BYTES : MAX_MESSAGE_BYTES);
      expect(message.body.buffer.byteLength).toBe(message.body.length);
      expect(inflatedBytes(message.body)).toBeLessThanOrEqual(MAX_MESSAGE_TEXT_BYTES);
    }
    expect(new Set(packed.map(({ message }) => message.batch)).size).toBe(packed.length);
  });

  test("puts 500 ordinary events in one message, and 10,000 in few", () => {
    expect(pack(ordinary(500))).toHaveLength(1);
    expect(pack(ordinary(10_000)).length).toBeLessThanOrEqual(8);
  });

  test("survives any guess of the size", () => {
    const events = eventsOf(300, (row) => ({ noise: noise(row, 500) }));
    for (const guess of [0, 1, 1e3, 1e6, 1e12]) expect(idsIn(pack(events, guess))).toEqual(events.map(({ id }) => id));
  });

  test("of nothing is nothing", () => {
    expect(pack([])).toEqual([]);
  });
});

describe("sending", () => {
  test("keeps neighbours together within 100 messages and 256 KB a call", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 20, max: 127_000 }), { maxLength: 300 }), (sizes) => {
        const packed = packedOf(sizes);
        const groups = groupForSending(packed);
        expect(groups.flat()).toEqual(packed);
        for (const group of groups) {
          expect(group.length).toBeLessThanOrEqual(100);
          expect(group.reduce((sum, one) => sum + one.message.body.length, 0)).toBeLessThanOrEqual(256_000);
        }
      }),
    );
  });

  test("puts a hundred small messages in one call, and the next in another", () => {
    expect(groupForSending(packedOf(Array.from({ length: 101 }, () => 20))).map((group) => group.length)).toEqual([
      100, 1,
    ]);
  });

  test("names the rows of the calls that failed, and sends the others", async () => {
    const sent: number[] = [];
    const errors: unknown[] = [];
    const queue = {
      async send(message: EventMessage): Promise<void> {
        await this.sendBatch([{ body: message }]);
      },
      async sendBatch(messages: Iterable<{ readonly body: EventMessage }>): Promise<void> {
        const sizes = [...messages].map(({ body }) => body.body.length);
        if (sizes.includes(90_000)) throw new Error("Too Many Requests");
        sent.push(...sizes);
      },
    };
    const refused = await sendMessages(
      queue,
      packedOf([60_000, 60_001, 60_002, 60_003, 90_000, 60_004, 60_005]),
      (error) => errors.push(error),
    );
    expect(refused).toMatchObject([
      { from: 4, to: 5 },
      { from: 5, to: 6 },
      { from: 6, to: 7 },
    ]);
    expect(sent).toEqual([60_000, 60_001, 60_002, 60_003]);
    expect(errors).toHaveLength(1);
  });
});
