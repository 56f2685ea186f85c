import { join, resolve } from "node:path";
import { readNote } from "../scripts/local/running.ts";
import { parseVars } from "../scripts/local/secrets.ts";
import { ROOT, readIfPresent } from "../scripts/local/settings.ts";
import { CliError, UsageError } from "./errors.ts";
import type { Options } from "./options.ts";

/** Whom to talk to, and as who. */
export interface Target {
  /** Origin without a slash at the end. */
  readonly url: string;
  readonly key: string;
}

/**
 * The platform a command talks to.
 *
 * A platform that `npm start` runs from this clone needs neither option: its address and admin key are in the note it
 * keeps in its state directory. The admin key is offered to loopback addresses only.
 * @throws UsageError for a URL that is none; CliError when no key is known
 */
export function resolveTarget(options: Options, env: NodeJS.ProcessEnv): Target {
  const note = readNote(resolve(ROOT, env["STREAMFLOW_STATE"] || ".wrangler/state"));
  const url = parseUrl(
    options.text("url") ?? (env["STREAMFLOW_URL"] || note?.url) ?? `http://127.0.0.1:${env["PORT"] || 8787}`,
  );
  const given = options.text("key") ?? (env["STREAMFLOW_KEY"] || undefined);
  const key = given ?? (isLoopback(url) ? localKey(url, note, env) : undefined);
  if (key === undefined) throw new CliError(`No key for ${url.origin}. Give one with --key or in STREAMFLOW_KEY.`);
  return { url: url.origin, key };
}

function localKey(url: URL, note: ReturnType<typeof readNote>, env: NodeJS.ProcessEnv): string | undefined {
  if (note !== undefined && new URL(note.url).port === url.port) return note.admin_key;
  return env["ADMIN_KEY"] || parseVars(readIfPresent(join(ROOT, ".dev.vars")) ?? "").get("ADMIN_KEY") || undefined;
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new UsageError(`--url must be an http or https URL, not "${text}".`);
  }
  return url;
}

/** Whether the address is this machine, by its name: 127.0.0.0/8, ::1 or localhost. */
export function isLoopback(url: URL): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
}
