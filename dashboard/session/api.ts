import { fields, list, text } from "../live/decode.ts";

/** What the API found wrong with one field of a request. */
export interface FieldProblem {
  /** Its path in the body, e.g. `config.url`. */
  readonly field: string;
  readonly message: string;
}

/** What the API said instead of success. `status` 0: it could not be reached. */
export class ApiFailure extends Error {
  readonly status: number;
  readonly correlationId: string;
  readonly problems: readonly FieldProblem[];

  constructor(status: number, message: string, correlationId: string, problems: readonly FieldProblem[] = []) {
    super(message);
    this.status = status;
    this.correlationId = correlationId;
    this.problems = problems;
  }
}

/** A request to the API, without credentials. `body` is sent as JSON. */
export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

/**
 * Ask the API and return the `data` of its envelope.
 *
 * @throws ApiFailure with the server's own message, or with status 0 when there was no answer
 */
export async function askApi(request: ApiRequest, credential: string): Promise<unknown> {
  const response = await reach(request, credential);
  const envelope = fields(await response.json().catch(() => null)) ?? {};
  if (response.ok) return envelope["data"];
  const message = text(envelope["message"], `The server answered ${response.status}.`);
  throw new ApiFailure(response.status, message, text(envelope["correlation_id"]), problemsOf(envelope["details"]));
}

/** Some answers list their problems, some have a single one. */
function problemsOf(details: unknown): FieldProblem[] {
  return list(Array.isArray(details) ? details : [details], decodeProblem);
}

function decodeProblem(value: unknown): FieldProblem | null {
  const found = fields(value);
  const field = text(found?.["field"]);
  return field === ""
    ? null
    : { field, message: text(found?.["message"]) || text(found?.["reason"], "is not accepted") };
}

async function reach({ method, path, body }: ApiRequest, credential: string): Promise<Response> {
  const headers: Record<string, string> = { authorization: `Bearer ${credential}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    return await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new ApiFailure(0, "The server cannot be reached.", "");
  }
}

/** Any failure as one that can be shown. */
export function failureOf(thrown: unknown): ApiFailure {
  return thrown instanceof ApiFailure ? thrown : new ApiFailure(0, String(thrown), "");
}

/** Did the API refuse the credential? */
export function isUnauthorized(failure: unknown): boolean {
  return failure instanceof ApiFailure && failure.status === 401;
}
