import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../../..");
const folder = mkdtempSync(join(tmpdir(), "streamflow-rules-"));

afterAll(() => rmSync(folder, { recursive: true }));

function streamflow(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["cli/main.ts", ...args], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const passing = (expected: string): string => `
rules: [{ name: busy, aggregation: a, condition: value > 5, level: error }]
tests:
  - name: one minute
    series: [{ values: { value: 1 9 } }]
    expect: [{ at: 2m, rule: busy, firing: ${expected} }]
`;

describe("streamflow rules test", () => {
  test("runs the example of the documentation", () => {
    expect(streamflow("rules", "test", "docs/rule-tests.yaml")).toEqual({
      status: 0,
      stdout: "docs/rule-tests.yaml: 4 tests, 18 checks: all pass\n",
      stderr: "",
    });
  });

  test("shows what differs and ends with 1, in words and as JSON", () => {
    const [good, bad] = [file("good.yaml", passing("[{}]")), file("bad.yaml", passing("[]"))];
    const result = streamflow("rules", "test", good, bad);
    expect([result.status, result.stdout.split("\n")]).toEqual([
      1,
      [
        `${good}: 1 tests, 1 checks: all pass`,
        `${bad}: 1 tests, 1 checks: 1 of 1 fail`,
        "",
        "  FAIL one minute",
        '    after 2m, "busy", firing:',
        '    + {} values {"value":9}',
        "",
        "",
      ],
    ]);
    const json = streamflow("rules", "test", bad, "--json");
    expect([json.status, JSON.parse(json.stdout)]).toMatchObject([
      1,
      [
        {
          file: bad,
          tests: [{ name: "one minute", checks: 1, mismatches: [{ rule: "busy", surplus: [{ group: {} }] }] }],
        },
      ],
    ]);
  });

  test.each([
    ["rules: [1", "line 1"],
    ["rules: []\ntests: []", "rules: "],
    [passing("[{ colour: red }]"), "tests.0.expect.0.firing.0.colour: is not a field here"],
    [passing("[]").replace("1 9", "1 nine"), 'tests.0.series.0.values.value: "nine" is not a value'],
    [passing("[]").replace("value >", "valeu >"), "rules.0.condition: unknown name 'valeu'"],
  ])("ends with 2 for a file that cannot be used: %j", (text, message) => {
    const result = streamflow("rules", "test", file("unusable.yaml", text));
    expect([result.status, result.stdout]).toEqual([2, ""]);
    expect(result.stderr).toContain(message);
  });

  test("ends with 2 without a file, or with one that is not there", () => {
    expect(streamflow("rules", "test")).toMatchObject({ status: 2, stdout: "" });
    expect(streamflow("rules", "test", "nowhere.yaml")).toMatchObject({ status: 2, stdout: "" });
  });
});
