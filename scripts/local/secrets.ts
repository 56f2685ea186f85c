import { randomBytes } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { readIfPresent } from "./settings.ts";

/** What the local platform must keep secret. */
export interface Secrets {
  /** Signs JWTs; at least 32 bytes. */
  readonly JWT_SECRET: string;
  /** Encrypts channel secrets; 32 bytes, base64url. */
  readonly ENCRYPTION_KEY: string;
  /** The key of tenant `default`'s first admin. */
  readonly ADMIN_KEY: string;
}

/** Reads `NAME=value` lines; quotes around a value are dropped, comments and blank lines are skipped. */
export function parseVars(text: string): Map<string, string> {
  const vars = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const found = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line);
    const [, name, value] = found ?? [];
    if (name !== undefined && value !== undefined) vars.set(name, value.replace(/^(["'])(.*)\1$/, "$2"));
  }
  return vars;
}

/**
 * The secrets from the file, making the missing ones and writing them back with mode 600.
 *
 * The environment wins over the file and is never written to it, so a key given for one run does not outlive the run.
 * @param path  the `.dev.vars` file; made when absent
 */
export function ensureSecrets(path: string, env: NodeJS.ProcessEnv): Secrets {
  const text = readIfPresent(path) ?? "";
  const stored = parseVars(text);
  const made: string[] = [];
  const take = (name: keyof Secrets, make: () => string): string => {
    const present = env[name] || stored.get(name);
    if (present) return present;
    const value = make();
    made.push(`${name}=${value}`);
    return value;
  };
  const secrets = {
    JWT_SECRET: take("JWT_SECRET", () => randomBytes(32).toString("base64url")),
    ENCRYPTION_KEY: take("ENCRYPTION_KEY", () => randomBytes(32).toString("base64url")),
    // Hex, because a key that begins with "-" cannot be given on a command line.
    ADMIN_KEY: take("ADMIN_KEY", () => randomBytes(24).toString("hex")),
  };
  if (made.length > 0) {
    const kept = text.split(/\r?\n/).filter((line) => line.trim() !== "" && !isEmptySecret(line));
    writeFileSync(path, `${[...kept, ...made].join("\n")}\n`, { mode: 0o600 });
    // `mode` is only for new files; an older one may be readable by everyone.
    chmodSync(path, 0o600);
  }
  return secrets;
}

function isEmptySecret(line: string): boolean {
  return /^\s*(JWT_SECRET|ENCRYPTION_KEY|ADMIN_KEY)\s*=\s*$/.test(line);
}
