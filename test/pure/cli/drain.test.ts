import { createServer } from "node:http";
import type { Server } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { drain } from "../../../scripts/local/drain.ts";

let server: Server | undefined;
afterEach(() => void server?.close());

/** A platform that gives the scripted ledgers in turn, the last one for ever; `asked` counts. */
async function scripted(answers: readonly (readonly [sent: number, outstanding: number])[]) {
  const calls = { asked: 0 };
  server = createServer((request, response) => {
    const isOperator = request.url === "/__local/drain" && request.headers.authorization === "Bearer key";
    const [sent, outstanding] = answers[Math.min(calls.asked++, answers.length - 1)] ?? [0, 0];
    response.statusCode = isOperator ? 200 : 404;
    response.end(JSON.stringify({ data: { sent, done: sent - outstanding, outstanding } }));
  });
  server.listen(0, "127.0.0.1");
  await new Promise((listening) => server?.once("listening", listening));
  const address = server.address();
  return { calls, url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}` };
}

describe("draining the local queue", () => {
  test("waits until nothing is outstanding", async () => {
    const { url, calls } = await scripted([
      [10, 7],
      [10, 3],
      [10, 0],
    ]);
    expect(await drain(url, "key", 5_000)).toEqual({ left: 0 });
    expect(calls.asked).toBeGreaterThan(3);
  });

  test("is not taken in by a moment of emptiness before a last request sends its events", async () => {
    const { url, calls } = await scripted([
      [10, 0],
      [11, 1],
      [11, 0],
    ]);
    expect(await drain(url, "key", 5_000)).toEqual({ left: 0 });
    expect(calls.asked).toBeGreaterThan(3);
  });

  test("gives up at its limit and says how much is left", async () => {
    const { url } = await scripted([[10, 4]]);
    expect(await drain(url, "key", 300)).toEqual({ left: 4 });
  });

  test("says so when the platform does not answer as it should", async () => {
    const { url } = await scripted([[0, 0]]);
    expect(await drain(url, "wrong", 1_000)).toMatchObject({ problem: expect.stringContaining("404") });
  });
});
