import { describe, expect, test } from "vitest";
import { TopicLog } from "../../../core/live/topic-log.ts";
import { snapshotOf, TOPIC } from "./client.ts";

const NOW = 1_000_000;

function frame(n: number): { n: number; text: string; atMs: number } {
  return { n, text: `frame ${n}`, atMs: NOW };
}

/** A log that repeats another's frames 5, 6 and 7. */
function repeating(): TopicLog {
  const log = new TopicLog(TOPIC, "e1", 0);
  for (const n of [5, 6, 7]) expect(log.append(frame(n))).toBe(true);
  return log;
}

function numbers(log: TopicLog, after: number): number[] | null {
  return log.framesAfter(after)?.map(({ n }) => n) ?? null;
}

describe("a log that repeats another's frames", () => {
  test("takes over their numbers, from whichever it hears first", () => {
    expect(numbers(repeating(), 4)).toEqual([5, 6, 7]);
    expect(numbers(repeating(), 3)).toBeNull();
  });

  test("leaves out what it has", () => {
    const log = repeating();
    expect([log.append(frame(6)), log.append(frame(7))]).toEqual([false, false]);
    expect(numbers(log, 4)).toEqual([5, 6, 7]);
  });

  test("leads nobody past a frame that is missing", () => {
    const log = repeating();
    log.append(frame(9));
    expect([numbers(log, 7), numbers(log, 8)]).toEqual([null, [9]]);
  });

  test("starts readers from a snapshot whose later frames it has", () => {
    const log = repeating();
    log.rebase({ n: 6, data: JSON.stringify(snapshotOf()), atMs: NOW });
    expect(log.takeBase(NOW)?.n).toBe(6);
    expect(numbers(log, 6)).toEqual([7]);
  });

  test.each([3, 12])("goes on from a snapshot at %i, whose later frames it does not have", (n) => {
    const log = repeating();
    log.rebase({ n, data: JSON.stringify(snapshotOf()), atMs: NOW });
    expect([log.n, log.takeBase(NOW)?.n, numbers(log, n)]).toEqual([n, n, []]);
    expect(log.append(frame(n + 1))).toBe(true);
    expect(numbers(log, n)).toEqual([n + 1]);
  });

  test("asks again when no answer came", () => {
    const log = repeating();
    log.takeBase(NOW);
    expect([log.takeRequest(NOW), log.takeRequest(NOW)]).toEqual([true, false]);
    log.askAgain();
    expect(log.takeRequest(NOW)).toBe(true);
  });
});
