import { exports } from "cloudflare:workers";

/** The ADMIN_KEY that vitest.config.ts binds: admin of tenant `default`. */
export const OPERATOR_KEY = "test-admin-key-0123456789abcdef";
const ORIGIN = "http://streamflow.test";

/** What a call answered: the status, the headers and the parsed envelope. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** `data` of a success, `{}` otherwise. */
  readonly data: Record<string, unknown>;
  /** `error` of a refusal, null otherwise. */
  readonly error: unknown;
  readonly body: Record<string, unknown>;
}

/** Calls the Worker. `key` goes into the Authorization header, `json` becomes the body. */
export async function call(
  method: string,
  path: string,
  options: { key?: string; json?: unknown; body?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const headers = new Headers(options.headers);
  if (options.key !== undefined) headers.set("Authorization", `Bearer ${options.key}`);
  if (options.json !== undefined && !headers.has("Content-Type")) headers.set("Content-Type", "application/json");
  const body = options.json === undefined ? options.body : JSON.stringify(options.json);
  const response = await exports.default.fetch(`${ORIGIN}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const parsed = parseObject(text);
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: parsed,
    data: asObject(parsed["data"]),
    error: parsed["error"] ?? null,
  };
}

/** Makes a tenant with a name no other test has. */
export async function makeTenant(): Promise<{ id: string; adminKey: string }> {
  const id = `t-${crypto.randomUUID().slice(0, 8)}`;
  const answer = await call("POST", "/api/v1/tenants", { key: OPERATOR_KEY, json: { id, name: id } });
  return { id, adminKey: String(answer.data["admin_key"]) };
}

/** Makes a key of a role in the tenant of `adminKey`. */
export async function makeKey(adminKey: string, role: string): Promise<{ id: string; key: string }> {
  const answer = await call("POST", "/api/v1/keys", { key: adminKey, json: { name: `test ${role}`, role } });
  return { id: String(answer.data["id"]), key: String(answer.data["key"]) };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return {};
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {};
}
