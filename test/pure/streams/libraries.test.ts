// The rules that our operators keep, checked on well-known libraries. What each breaks is written down (libraries.json) and in
// docs/streams.md; both are made anew by UPDATE=1 npx vitest run test/pure/streams/libraries.test.ts
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { LIBRARIES } from "./libraries.ts";
import { OPERATORS } from "./operators.ts";
import { type OperatorCase, type Rule, RULES } from "./rules.ts";

/** By library and rule: the operators that break it. */
type Broken = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

const ROOT = join(import.meta.dirname, "../../..");
const RECORD = join(import.meta.dirname, "libraries.json");
const DOC = join(ROOT, "docs/streams.md");
const isUpdate = process.env["UPDATE"] === "1";

function applies(rule: Rule, operator: OperatorCase): boolean {
  return rule.only?.(operator) ?? true;
}

/** The table of docs/streams.md: of how many operators each library keeps each rule. */
function table(broken: Broken): string {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own package.json
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const heads = LIBRARIES.map(({ name }) => `${name} ${devDependencies[name]}`);
  const rows = RULES.map((rule) => {
    const cells = LIBRARIES.map(({ name, operators }) => {
      const about = operators.filter((operator) => applies(rule, operator)).length;
      return about === 0 ? "–" : `${about - (broken[name]?.[rule.name]?.length ?? 0)} of ${about}`;
    });
    const ours = OPERATORS.filter((operator) => applies(rule, operator)).length;
    return [`${rule.name} (${rule.source})`, `${ours} of ${ours}`, ...cells];
  });
  const lines = [["rule", "ours", ...heads], ["---", "---", ...heads.map(() => "---")], ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

async function brokenBy(library: string): Promise<Record<string, string[]>> {
  const args = ["--unhandled-rejections=none", join(import.meta.dirname, "compare.ts"), library];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 100_000 });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- printed by compare.ts
  return JSON.parse(stdout) as Record<string, string[]>;
}

const found: Record<string, Record<string, string[]>> = {};

describe("well-known libraries", { timeout: 120_000 }, () => {
  test.each(LIBRARIES)("$name breaks the rules that it is known to break, and no others", async ({ name }) => {
    found[name] = await brokenBy(name);
    if (isUpdate) return;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written below
    const known = JSON.parse(readFileSync(RECORD, "utf8")) as Broken;
    expect(found[name]).toEqual(known[name]);
  });

  test("docs/streams.md shows how they fare", () => {
    const text = readFileSync(DOC, "utf8");
    if (!isUpdate) {
      expect(text).toContain(table(found));
      return;
    }
    writeFileSync(RECORD, `${JSON.stringify(found, null, 2)}\n`);
    writeFileSync(DOC, text.replace(/(<!-- table -->\n)[^]*?(\n<!-- end -->)/, `$1\n${table(found)}\n$2`));
  });
});
