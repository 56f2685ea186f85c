import { expect, test } from "vitest";
import type { EventMessage } from "../../core/events/message.ts";
import { OLD_AFTER_MS } from "../../core/flow/old-events.ts";
import { acceptEvents } from "../../workers/ingest/accept.ts";

const RECEIVED = 1_700_000_000_000;

/** Accepts events of these times, with a door for old ones that takes five seconds. @returns what came to the queue, and how many waited */
async function accept(timestamps: readonly number[]): Promise<{ sent: EventMessage[]; waited: number[] }> {
  const sent: EventMessage[] = [];
  const waited: number[] = [];
  let now = RECEIVED;
  const send = async (messages: Iterable<{ body: EventMessage }>): Promise<void> => {
    for (const { body } of messages) sent.push(body);
  };
  const values = timestamps.map((timestamp, k) => ({ id: `e${k}`, type: "t", source: "s", timestamp }));
  await acceptEvents(
    { values, indexes: null, unparsed: [] },
    {
      tenant: "default",
      queue: { send: async (body) => await send([{ body }]), sendBatch: send },
      receivedAt: RECEIVED,
      now: () => now,
      ids: { newId: () => "made", isRepeatable: false },
      newBatchId: () => "batch",
      bytes: 100 * values.length,
      admitOld: async (events) => {
        waited.push(events);
        now += 5_000;
      },
      onQueueError: (error) => {
        throw error;
      },
    },
  );
  return { sent, waited };
}

test("only a request all of whose events are old waits, and its wait is not taken for one in the queue", async () => {
  const old = RECEIVED - OLD_AFTER_MS - 1;
  const alone = await accept([old, old - 1]);
  expect(alone.waited).toEqual([2]);
  expect(alone.sent).toMatchObject([{ n: 2, acceptedAt: RECEIVED + 5_000 }]);
  for (const timestamps of [[old, RECEIVED], [RECEIVED - OLD_AFTER_MS], [RECEIVED + 1000]]) {
    const { sent, waited } = await accept(timestamps);
    expect([waited, sent[0]?.acceptedAt]).toEqual([[], RECEIVED]);
  }
});
