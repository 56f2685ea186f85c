import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

export type Role = "ingest" | "viewer" | "editor" | "admin";

/** Who is asking: always from the credential, never from a body or a query string. */
export interface Principal {
  readonly tenant: string;
  readonly role: Role;
  /** The API key's id, or `admin` for the key in ADMIN_KEY. A JWT carries its key's id. */
  readonly keyId: string;
}

export interface AppEnv {
  Bindings: Env;
  Variables: { correlationId: string; principal: Principal };
}

export type AppContext = Context<AppEnv>;

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

/** An answer other than success. Throw it anywhere below a route; `workers/index.ts` turns it into the error envelope. */
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
  if (error.retryAfterSeconds !== undefined) c.header("Retry-After", String(Math.max(1, Math.ceil(error.retryAfterSeconds))));
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
