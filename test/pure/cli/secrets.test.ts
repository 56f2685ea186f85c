import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ensureSecrets, parseVars } from "../../../scripts/local/secrets.ts";

const directory = mkdtempSync(join(tmpdir(), "streamflow-secrets-"));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;

function newPath(text?: string): string {
  const path = join(directory, `vars-${++files}`);
  if (text !== undefined) writeFileSync(path, text);
  return path;
}

describe("the local secrets", () => {
  test("are made at the first start and are the same at the next", () => {
    const path = newPath();
    const made = ensureSecrets(path, {});
    expect(made.JWT_SECRET.length).toBeGreaterThanOrEqual(43);
    expect(Buffer.from(made.ENCRYPTION_KEY, "base64url")).toHaveLength(32);
    expect(made.ADMIN_KEY).toMatch(/^[0-9a-f]{48}$/);
    expect(ensureSecrets(path, {})).toEqual(made);
  });

  test("are readable by their owner only, also in a file that was readable by all", () => {
    const path = newPath("JWT_SECRET=\n");
    chmodSync(path, 0o644);
    ensureSecrets(path, {});
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("fill what is missing and keep the rest of the file", () => {
    const path = newPath('# mine\nOTHER=1\nJWT_SECRET="kept"\nADMIN_KEY=\n');
    const secrets = ensureSecrets(path, {});
    expect(secrets.JWT_SECRET).toBe("kept");
    const text = readFileSync(path, "utf8");
    expect(text).toMatch(/^# mine\nOTHER=1\nJWT_SECRET="kept"\n/);
    expect(text.match(/^ADMIN_KEY=/gm)).toHaveLength(1);
  });

  test("give way to the environment, which is not written down", () => {
    const path = newPath();
    expect(ensureSecrets(path, { ADMIN_KEY: "for-this-run" }).ADMIN_KEY).toBe("for-this-run");
    expect(readFileSync(path, "utf8")).not.toContain("for-this-run");
  });
});

test("variables are read as dotenv files write them", () => {
  const vars = parseVars("# comment\nA=1\r\nexport B = two words \nC='#3'\nnonsense\nD=\n");
  expect(Object.fromEntries(vars)).toEqual({ A: "1", B: "two words", C: "#3", D: "" });
});
