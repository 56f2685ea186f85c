import { expect, test } from "vitest";
import type { EventMessage } from "../../core/events/message.ts";
import { OLD_AFTER_MS } from "../../core/flow/old-events.ts";
import { ApiError } from "../../workers/http.ts";
import { acceptEvents } from "../../workers/ingest/accept.ts";

const RECEIVED = 1_700_000_000_000;

/**
 * Accepts events of these times, with a door for old ones that takes five seconds each time.
 * @param portions how many may come each time; none after the last
 * @returns what came to the queue, and how many waited each time
 */
async function accept(timestamps: readonly number[], portions: readonly number[] = [Infinity]) {
  const sent: EventMessage[] = [];
  const waited: number[] = [];
  let now = RECEIVED;
  const send = async (messages: Iterable<{ body: EventMessage }>): Promise<void> => {
    for (const { body } of messages) sent.push(body);
  };
  const left = [...portions];
  const values = timestamps.map((timestamp, k) => ({ id: `e${k}`, type: "t", source: "s", timestamp }));
  const receipt = await acceptEvents(
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
        const portion = left.shift();
        if (portion === undefined) throw new ApiError("too_many_requests", "later");
        return Math.min(events, portion);
      },
      onQueueError: (error) => {
        throw error;
      },
    },
  );
  return { sent, waited, receipt };
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

test("old events go as the door lets them in; those it does not are refused one by one, or all together when none went", async () => {
  const old = Array.from({ length: 10 }, (_, k) => RECEIVED - OLD_AFTER_MS - 1 - k);
  const all = await accept(old, [4, 4, 4]);
  expect(all.waited).toEqual([10, 6, 2]);
  expect(all.sent).toMatchObject([
    { n: 4, acceptedAt: RECEIVED + 5_000 },
    { n: 4, acceptedAt: RECEIVED + 10_000 },
    { n: 2, acceptedAt: RECEIVED + 15_000 },
  ]);
  expect(all.receipt.acceptedIndexes).toEqual([...old.keys()]);
  const some = await accept(old, [4, 3]);
  expect(some.receipt.accepted.map(({ id }) => id)).toEqual(["e0", "e1", "e2", "e3", "e4", "e5", "e6"]);
  expect(some.receipt.rejected).toMatchObject(
    [7, 8, 9].map((index) => ({ index, id: `e${index}`, reason: "unavailable" })),
  );
  await expect(accept(old, [])).rejects.toThrow("later");
});
