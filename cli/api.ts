import { CliError, messageOf } from "./errors.ts";
import type { Target } from "./target.ts";

/** One answer of the platform, read to its end. */
export interface Reply {
  readonly status: number;
  /** Seconds of the Retry-After header; null without one. */
  readonly retryAfterSeconds: number | null;
  /** The parsed JSON body, or its text when it is none. */
  readonly body: unknown;
}

/** A request body with its headers. */
export interface Payload {
  readonly contentType: string;
  readonly contentEncoding?: "gzip";
  readonly body: string | Uint8Array<ArrayBuffer>;
}

const REQUEST_LIMIT_MS = 60_000;

/** Sends one request. @throws TypeError or DOMException (fetch's own) when there was no complete answer */
export async function request(target: Target, method: string, path: string, payload?: Payload): Promise<Reply> {
  const headers: Record<string, string> = { authorization: `Bearer ${target.key}` };
  if (payload !== undefined) headers["content-type"] = payload.contentType;
  if (payload?.contentEncoding !== undefined) headers["content-encoding"] = payload.contentEncoding;
  const response = await fetch(target.url + path, {
    method,
    headers,
    signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
    ...(payload === undefined ? {} : { body: payload.body }),
  });
  const text = await response.text();
  return {
    status: response.status,
    retryAfterSeconds: parseRetryAfter(response.headers.get("retry-after")),
    body: parseJson(text),
  };
}

/**
 * A request whose answer must be a success; returns the envelope's `data`.
 *
 * @throws CliError with the platform's own words otherwise
 */
export async function call(target: Target, method: string, path: string, json?: unknown): Promise<unknown> {
  const payload = json === undefined ? undefined : { contentType: "application/json", body: JSON.stringify(json) };
  const reply = await request(target, method, path, payload).catch((error: unknown) => {
    throw new CliError(`${target.url} did not answer: ${messageOf(error)}`);
  });
  if (reply.status >= 300) throw new CliError(describe(reply));
  return field(reply.body, "data");
}

/** An error answer in one line. */
export function describe(reply: Reply): string {
  const message = field(reply.body, "message");
  const hint = reply.status === 401 ? " Give a valid key with --key." : "";
  const details = field(reply.body, "details");
  const more = details === null || details === undefined ? "" : ` ${JSON.stringify(details).slice(0, 500)}`;
  return `The platform answered ${reply.status}${typeof message === "string" ? `: ${message}` : "."}${hint}${more}`;
}

/** A member of a JSON object, undefined when there is none. */
export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
}

/** A member as text: strings as they are, anything else as JSON, a dash for what is missing. */
export function textOf(value: unknown, name: string): string {
  const found = field(value, name);
  if (found === undefined || found === null) return "-";
  return typeof found === "string" ? found : JSON.stringify(found);
}

/** A member that is a list, empty when there is none. */
export function list(value: unknown, name: string): readonly unknown[] {
  const found = field(value, name);
  return Array.isArray(found) ? found : [];
}

function parseRetryAfter(header: string | null): number | null {
  if (header === null) return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const until = Date.parse(header);
  return Number.isNaN(until) ? null : Math.max(0, (until - Date.now()) / 1000);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
