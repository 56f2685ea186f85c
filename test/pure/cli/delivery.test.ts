import { describe, expect, test } from "vitest";
import type { Reply } from "../../../cli/api.ts";
import { GIVE_UP_AFTER_MS, deliver } from "../../../cli/delivery.ts";
import { CliError } from "../../../cli/errors.ts";

type Answer = Partial<Reply> | Error;

/** A platform that gives the scripted answers in turn, the last one for ever, and a clock that only waiting moves. */
function scripted(answers: readonly Answer[]) {
  const posted: string[][] = [];
  const waits: number[] = [];
  let nowMs = 0;
  return {
    posted,
    waits,
    tools: {
      post: async (events: readonly string[]): Promise<Reply> => {
        const answer = answers[Math.min(posted.length, answers.length - 1)] ?? new Error("no script");
        posted.push([...events]);
        if (answer instanceof Error) throw answer;
        return { status: 200, retryAfterSeconds: null, body: {}, ...answer };
      },
      wait: async (ms: number) => {
        waits.push(ms);
        nowMs += ms;
      },
      now: () => nowMs,
      random: () => 0.5,
    },
  };
}

function taken(accepted: number, results: unknown[] = []): Answer {
  return { status: 200, body: { data: { accepted, rejected: results.length, results } } };
}

function rejected(index: number, reason: string): unknown {
  return { index, result: "rejected", reason, message: `because of ${reason}` };
}

describe("delivering a batch", () => {
  test("is done when the platform took it", async () => {
    const { tools, posted, waits } = scripted([taken(2)]);
    expect(await deliver(["a", "b"], tools)).toEqual({ accepted: 2, rejections: [] });
    expect(posted).toEqual([["a", "b"]]);
    expect(waits).toEqual([]);
  });

  test("waits as long as Retry-After says, never less", async () => {
    const { tools, waits } = scripted([
      { status: 429, retryAfterSeconds: 7 },
      { status: 503, retryAfterSeconds: 2 },
      taken(1),
    ]);
    expect(await deliver(["a"], tools)).toEqual({ accepted: 1, rejections: [] });
    expect(waits).toHaveLength(2);
    expect(waits[0]).toBeGreaterThanOrEqual(7_000);
    expect(waits[0]).toBeLessThan(9_000);
    expect(waits[1]).toBeGreaterThanOrEqual(2_000);
  });

  test("sends the same batch again after a network error, a 503 and a 500, waiting longer each time", async () => {
    const { tools, posted, waits } = scripted([
      new TypeError("fetch failed"),
      { status: 503 },
      { status: 500 },
      taken(1),
    ]);
    await deliver(["a"], tools);
    expect(posted).toEqual([["a"], ["a"], ["a"], ["a"]]);
    expect(waits).toEqual([100, 200, 400]);
  });

  test("sends again only the events that could not be queued, and keeps everyone's place", async () => {
    const { tools, posted } = scripted([
      taken(1, [rejected(0, "invalid_type"), rejected(1, "unavailable"), rejected(3, "unavailable")]),
      taken(1, [rejected(1, "too_large")]),
    ]);
    expect(await deliver(["a", "b", "c", "d"], tools)).toEqual({
      accepted: 2,
      rejections: [
        { index: 0, reason: "invalid_type", message: "because of invalid_type" },
        { index: 3, reason: "too_large", message: "because of too_large" },
      ],
    });
    expect(posted).toEqual([
      ["a", "b", "c", "d"],
      ["b", "d"],
    ]);
  });

  test.each(["data", "details"])(
    "counts a batch that is bad as a whole as rejected, its results in %s",
    async (part) => {
      const { tools } = scripted([{ status: 422, body: { [part]: { results: [rejected(0, "invalid_type")] } } }]);
      expect(await deliver(["a"], tools)).toMatchObject({
        accepted: 0,
        rejections: [{ index: 0, reason: "invalid_type" }],
      });
    },
  );

  test.each([400, 401, 403, 404, 413])("stops at once when the platform answers %i", async (status) => {
    const { tools, posted } = scripted([{ status, body: { message: "No." } }]);
    await expect(deliver(["a"], tools)).rejects.toThrow(new RegExp(`${status}: No\\.`));
    expect(posted).toHaveLength(1);
  });

  test("gives up after two minutes and says why", async () => {
    const { tools, waits } = scripted([{ status: 503, body: { message: "Stopping." } }]);
    const failure = deliver(["a"], tools);
    await expect(failure).rejects.toBeInstanceOf(CliError);
    await expect(failure).rejects.toThrow("503: Stopping.");
    const total = waits.reduce((sum, ms) => sum + ms, 0);
    expect(total).toBeLessThanOrEqual(GIVE_UP_AFTER_MS);
    expect(total).toBeGreaterThan(GIVE_UP_AFTER_MS / 2);
    expect(Math.max(...waits)).toBeLessThanOrEqual(10_000);
  });
});
