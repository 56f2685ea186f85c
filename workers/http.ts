import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

/** What a key may do. */
export type Role = "ingest" | "viewer" | "editor" | "admin";

/** Who is asking: always from the credential, never from a body or a query string. */
export interface Principal {
  readonly tenant: string;
  readonly role: Role;
  /** The API key's id, or `admin` for the key in ADMIN_KEY. A JWT carries its key's id. */
  readonly keyId: string;
}

/** What Hono's context holds here. */
export interface AppEnv {
  Bindings: Env;
  Variables: {
    correlationId: string;
    /** Set by `requireRole`; routes without it have none. */
    principal: Principal;
    /** True when the answer is one of the dashboard's files. */
    isAsset?: boolean;
  };
}

export type AppContext = Context<AppEnv>;

/** `error` of a refusal; `STATUS` has its HTTP status. */
export type ErrorCode =
  | "bad_request"
  | "unauthorized"
  | "forbidden"
  | "not_found"
  | "conflict"
  | "payload_too_large"
  | "unsupported_media_type"
  | "unprocessable"
  | "too_many_requests"
  | "unavailable"
  | "internal";

const STATUS: Record<ErrorCode, ContentfulStatusCode> = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  unprocessable: 422,
  too_many_requests: 429,
  unavailable: 503,
  internal: 500,
};

/** An answer other than success. Throw it anywhere below a route; `workers/app.ts` turns it into the error envelope. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly details: unknown;
  readonly retryAfterSeconds: number | undefined;
  constructor(code: ErrorCode, message: string, details: unknown = null, retryAfterSeconds?: number) {
    super(message);
    this.code = code;
    this.details = details;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The success envelope of CONTRACT.md. */
export function ok(c: AppContext, data: unknown, message = "ok", status: ContentfulStatusCode = 200): Response {
  return c.json(
    { success: true, message, data, timestamp: new Date().toISOString(), correlation_id: c.get("correlationId") },
    status,
  );
}

/** The error envelope. */
export function errorResponse(c: AppContext, error: ApiError): Response {
  if (error.retryAfterSeconds !== undefined)
    c.header("Retry-After", String(Math.max(1, Math.ceil(error.retryAfterSeconds))));
  // RFC 9110 section 11.6.1: a 401 says how to authenticate.
  if (error.code === "unauthorized") c.header("WWW-Authenticate", 'Bearer realm="streamflow"');
  return c.json(
    {
      error: error.code,
      message: error.message,
      details: error.details,
      timestamp: new Date().toISOString(),
      correlation_id: c.get("correlationId"),
    },
    STATUS[error.code],
  );
}

/** Bytes a JSON request may have where nothing else is said (ingest has its own, larger limit). */
const MAX_JSON_BYTES = 256 * 1024;

/**
 * The parsed JSON body of a request.
 *
 * @throws ApiError `unsupported_media_type` without a JSON content type (which also stops cross-site forms),
 *   `payload_too_large` above `maxBytes`, counted as they arrive, `bad_request` when it is not UTF-8 or does not parse
 */
export async function readJson(c: AppContext, maxBytes = MAX_JSON_BYTES): Promise<unknown> {
  const contentType = c.req.header("Content-Type") ?? "";
  if (!/^application\/(?:json|[\w.-]+\+json)\s*(?:;|$)/i.test(contentType)) {
    throw new ApiError("unsupported_media_type", "The body must be application/json.");
  }
  const text = await readText(c.req.raw, maxBytes);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError("bad_request", `The body is not JSON: ${error instanceof Error ? error.message : "unreadable"}`);
  }
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let text = "";
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new ApiError("payload_too_large", `The body may have at most ${maxBytes} bytes.`, { max_bytes: maxBytes });
    text += decodeUtf8(decoder, chunk);
  }
  return text + decodeUtf8(decoder);
}

function decodeUtf8(decoder: TextDecoder, chunk?: Uint8Array): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    throw new ApiError("bad_request", "The body is not UTF-8.");
  }
}
