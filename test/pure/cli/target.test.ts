import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { CliError, UsageError } from "../../../cli/errors.ts";
import { parseOptions } from "../../../cli/options.ts";
import { isLoopback, resolveTarget } from "../../../cli/target.ts";

const state = mkdtempSync(join(tmpdir(), "streamflow-target-"));
afterAll(() => rmSync(state, { recursive: true }));
writeFileSync(
  join(state, "running.json"),
  JSON.stringify({ pid: 1, host: 2, workerd: 3, url: "http://127.0.0.1:4001/", admin_key: "noted", stopping: false }),
);

function resolve(args: string[], env: Record<string, string> = {}) {
  return resolveTarget(parseOptions(args, {}), { STREAMFLOW_STATE: state, ...env });
}

describe("the platform a command talks to", () => {
  test("is the one that runs on this state, with its admin key", () => {
    expect(resolve([])).toEqual({ url: "http://127.0.0.1:4001", key: "noted" });
  });

  test("is the one given, and the key given wins", () => {
    expect(resolve(["--url", "https://events.example.com/", "--key", "k"])).toEqual({
      url: "https://events.example.com",
      key: "k",
    });
    const env = { STREAMFLOW_URL: "https://events.example.com", STREAMFLOW_KEY: "e" };
    expect(resolve([], env)).toEqual({ url: "https://events.example.com", key: "e" });
    expect(resolve(["--key", "k"], env).key).toBe("k");
  });

  test("never gets the local admin key when it is somewhere else", () => {
    expect(() => resolve(["--url", "https://events.example.com"], { ADMIN_KEY: "secret" })).toThrow(CliError);
  });

  test("gets the admin key of the environment on another local port", () => {
    expect(resolve(["--url", "http://localhost:4002"], { ADMIN_KEY: "mine" }).key).toBe("mine");
  });

  test.each(["events.example.com", "ftp://example.com", ""])('is not "%s"', (url) => {
    expect(() => resolve(["--url", url])).toThrow(UsageError);
  });
});

test.each([
  ["http://127.0.0.1:8787", true],
  ["http://127.9.9.9", true],
  ["http://localhost", true],
  ["http://[::1]:1", true],
  ["http://127.0.0.1.example.com", false],
  ["http://localhost.example.com", false],
  ["https://10.0.0.1", false],
])("%s is this machine: %s", (url, expected) => {
  expect(isLoopback(new URL(url))).toBe(expected);
});

describe("options", () => {
  const specs = { rate: { type: "string" } } as const;

  test("take numbers within their range, the ends included", () => {
    expect(parseOptions(["--rate", "1"], specs).integer("rate", { min: 1, max: 5 })).toBe(1);
    expect(parseOptions(["--rate=5"], specs).integer("rate", { min: 1, max: 5 })).toBe(5);
    expect(parseOptions([], specs).integer("rate", { min: 1, max: 5 })).toBeUndefined();
  });

  test.each(["0", "6", "1.5", "many", ""])('refuse "%s" for a number from 1 to 5', (text) => {
    expect(() => parseOptions([`--rate=${text}`], specs).integer("rate", { min: 1, max: 5 })).toThrow(UsageError);
  });

  test("refuse what does not exist", () => {
    expect(() => parseOptions(["--nonsense"], specs)).toThrow(UsageError);
  });
});
