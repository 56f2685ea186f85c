import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { EventMessage } from "../../core/events/message.ts";
import { windowAggregator } from "../../durable-objects/remote.ts";
import { MAX_REPLAYED, replayDeadLetters } from "../../workers/replay.ts";
import { arrive, exhausted, lettersOf, list, newId, replay } from "./dead-letter-arrivals.ts";
import { eventMessage, events } from "./event-messages.ts";
import { makeTenant } from "./http-client.ts";

/** An environment whose events queue is this one. */
function withQueue(sendBatch: (messages: EventMessage[]) => Promise<void>): Env {
  const EVENTS = {
    send: (body: EventMessage) => sendBatch([body]),
    sendBatch: (batch: Iterable<{ body: EventMessage }>) => sendBatch(Array.from(batch, ({ body }) => body)),
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only these methods of the queue are called
  return { ...env, EVENTS: EVENTS as unknown as Queue };
}

describe("replaying dead letters", () => {
  test("replayed events are stored under their own ids, once, also when they were stored before", async () => {
    const { id, adminKey } = await makeTenant();
    const stored = exhausted(id, 4, "known");
    const stub = windowAggregator(env, id);
    await stub.apply([{ id: "m", body: eventMessage(id, events(4, "known")).body }]);
    await arrive([stored, exhausted(id, 6, "fresh")]);
    const answer = await replay(adminKey);
    expect(answer.data).toEqual({ replayed: 2, events: 10, failed: [], not_replayable: [], remaining: 0 });
    await expect.poll(async () => (await stub.stats()).total_events, { timeout: 10_000 }).toBe(10);
    expect(lettersOf(await list(adminKey))).toEqual([]);
  });

  test("only the ids asked for are replayed", async () => {
    const { id, adminKey } = await makeTenant();
    const letters = Array.from({ length: 4 }, () => exhausted(id, 1));
    await arrive(letters);
    const wanted = letters.slice(0, 2).map((letter) => letter.id);
    const answer = await replay(adminKey, { ids: [...wanted, "never-was"] });
    expect(answer.data).toMatchObject({ replayed: 2, remaining: 2 });
    expect(
      lettersOf(await list(adminKey))
        .map((letter) => letter["id"])
        .toSorted(),
    ).toEqual(
      letters
        .slice(2)
        .map((letter) => letter.id)
        .toSorted(),
    );
  });

  test("the queue's limits are kept, and the messages arrive as they were", async () => {
    const { id } = await makeTenant();
    const letters = Array.from({ length: 50 }, () => exhausted(id, 2));
    // Incompressible, so that few fit one call.
    const large = Array.from({ length: 6 }, () => ({
      id: newId(),
      body: { ...eventMessage(id, events(1, newId())), body: randomBytes(100_000) },
    }));
    await arrive([...letters, ...large]);
    const calls: EventMessage[][] = [];
    const result = await replayDeadLetters(
      withQueue(async (messages) => void calls.push(messages)),
      id,
      null,
    );
    expect(result).toEqual({ replayed: 56, events: 106, failed: [], notReplayable: [] });
    for (const messages of calls) {
      expect(messages.length).toBeLessThanOrEqual(100);
      expect(messages.reduce((bytes, message) => bytes + message.body.length, 0)).toBeLessThanOrEqual(256_000);
    }
    const sent = new Map(calls.flat().map((message) => [message.batch, message]));
    const expected = [...letters.map((letter) => letter.body), ...large.map((letter) => letter.body)];
    expect(sent.size).toBe(expected.length);
    for (const message of expected) expect(sent.get(batchId(message))).toEqual(message);
  });

  test("letters that the queue does not take stay", async () => {
    const { id, adminKey } = await makeTenant();
    await arrive(Array.from({ length: 45 }, () => exhausted(id, 1)));
    let calls = 0;
    const result = await replayDeadLetters(
      withQueue(async () => {
        calls++;
        if (calls > 1) throw new Error("Too Many Requests");
      }),
      id,
      null,
    );
    expect(result).toMatchObject({ replayed: 20, events: 20 });
    expect(result.failed).toHaveLength(20);
    expect((await list(adminKey)).data["total"]).toMatchObject({ letters: 25 });
  });

  test("one call replays a bounded number and says how many remain", async () => {
    const { id } = await makeTenant();
    const message = eventMessage(id, events(1, "same"));
    for (let i = 0; i < MAX_REPLAYED + 30; i += 53) {
      await arrive(Array.from({ length: 53 }, () => ({ id: newId(), body: message })));
    }
    const queue = withQueue(async () => undefined);
    expect((await replayDeadLetters(queue, id, null)).replayed).toBe(MAX_REPLAYED);
    expect((await replayDeadLetters(queue, id, null)).replayed).toBe(30);
    expect((await replayDeadLetters(queue, id, null)).replayed).toBe(0);
  });

  test.for([
    [[], "body"],
    [{ ids: [] }, "ids"],
    [{ ids: "all" }, "ids"],
    [{ ids: [1] }, "ids"],
    [{ ids: ["a b"] }, "ids"],
    [{ ids: Array.from({ length: MAX_REPLAYED + 1 }, (_, i) => `i${i}`) }, "ids"],
    [{ id: "x" }, "id"],
  ] as const)("%j is refused", async ([json, field]) => {
    const { adminKey } = await makeTenant();
    const answer = await replay(adminKey, json);
    expect(answer.status).toBe(400);
    expect(answer.body["details"]).toMatchObject({ field });
  });
});

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}

function batchId(message: unknown): string {
  return typeof message === "object" && message !== null && "batch" in message ? String(message.batch) : "";
}
