import { describe, expect, test } from "vitest";
import { type Notice, NoticeQueue } from "../../durable-objects/aggregator/notice-queue.ts";

/** Small facts on a disk that outlives the object. */
function disk() {
  const facts = new Map<string, unknown>();
  return {
    readMeta: (key: string) => facts.get(key),
    writeMeta: (key: string, value: unknown) => void facts.set(key, JSON.parse(JSON.stringify(value))),
  };
}

const window = (start: number): Notice => ({ aggregation: "a", start });
const sessions = (end: number, ...names: string[]): Notice => ({
  aggregation: "a",
  start: 0,
  end,
  sessions: names.map((name) => [0, name] as const),
});

describe("windows that wait to be told", () => {
  test("and could not be, wait again before what came since; of sessions with the same end all are kept", () => {
    const queue = new NoticeQueue(disk());
    queue.add(window(1));
    queue.add(sessions(10, "x", "y"));
    expect(queue.take(5)).toHaveLength(2);
    queue.add(window(2));
    queue.add(window(1));
    queue.add(sessions(10, "y", "z"));
    queue.putBack();
    expect(queue.take(5)).toEqual([window(1), sessions(10, "x", "y", "z"), window(2)]);
    queue.settle();
    expect(queue.size).toBe(0);
  });

  test("are on disk with those that are being told, until they have been", () => {
    const tables = disk();
    const queue = new NoticeQueue(tables);
    for (const start of [1, 2, 3]) queue.add(window(start));
    queue.add(sessions(10, "x"));
    queue.take(2);
    queue.save();
    const woken = new NoticeQueue(tables);
    expect(woken.take(9)).toEqual([window(1), window(2), window(3), sessions(10, "x")]);
    queue.settle();
    queue.save();
    expect(new NoticeQueue(tables).take(9)).toEqual([window(3), sessions(10, "x")]);
  });
});
