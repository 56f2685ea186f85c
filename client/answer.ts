// What an answer means for the events of the request. Whatever is unclear is sent again: an event counts once however often it comes.

/** What the platform said about one event it did not take. */
export interface Verdict {
  /** Place in the request. */
  readonly index: number;
  readonly reason: string;
  readonly message: string;
}

export type Answer =
  /** Each event was taken, but for the verdicts; those with the reason `unavailable` may be sent again. */
  | { readonly kind: "taken"; readonly verdicts: readonly Verdict[]; readonly retryAfterSeconds: number | null }
  /** The request as a whole, for good. */
  | { readonly kind: "refused"; readonly reason: string; readonly message: string }
  | { readonly kind: "too_large"; readonly message: string }
  | {
      readonly kind: "again";
      readonly status: number | null;
      readonly message: string;
      readonly retryAfterSeconds: number | null;
    }
  /** A person has to act (wrong key, wrong address); the events are kept meanwhile. */
  | { readonly kind: "blocked"; readonly status: number; readonly message: string };

/** A longer wait asked for is cut to this: timers overflow at 24 days, and nobody means more. */
export const MAX_RETRY_AFTER_SECONDS = 3600;

/**
 * Reads an answer.
 * @param text   the body
 * @param count  events in the request
 */
export function readAnswer(status: number, retryAfter: string | null, text: string, count: number): Answer {
  const body = parse(text);
  const message = textOf(body, "message") || `HTTP ${status}`;
  const retryAfterSeconds = readRetryAfter(retryAfter);
  if (status === 200 || status === 422) {
    const verdicts = readVerdicts(body, status, count);
    if (verdicts !== null) return { kind: "taken", verdicts, retryAfterSeconds };
    if (status === 200)
      return { kind: "again", status, message: "the answer is not the platform's", retryAfterSeconds };
  }
  if (status === 413) return { kind: "too_large", message };
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return { kind: "again", status, message, retryAfterSeconds };
  if (status === 400 || status === 415 || status === 422)
    return { kind: "refused", reason: textOf(body, "error") || "bad_request", message };
  return { kind: "blocked", status, message };
}

function readRetryAfter(header: string | null): number | null {
  return header !== null && /^\d+$/.test(header) ? Math.min(Number(header), MAX_RETRY_AFTER_SECONDS) : null;
}

/** null when the body does not account for every event: then nothing is known. */
function readVerdicts(body: unknown, status: number, count: number): Verdict[] | null {
  const receipt = field(body, status === 200 ? "data" : "details");
  const results = field(receipt, "results");
  if (!Array.isArray(results)) return null;
  const verdicts = results.flatMap(toVerdict);
  const accepted = status === 200 ? field(receipt, "accepted") : 0;
  const places = new Set(verdicts.map(({ index }) => index).filter((index) => index >= 0 && index < count));
  return accepted === count - verdicts.length && places.size === verdicts.length ? verdicts : null;
}

function toVerdict(result: unknown): Verdict[] {
  const index = field(result, "index");
  if (typeof index !== "number" || field(result, "result") !== "rejected") return [];
  return [{ index, reason: textOf(result, "reason"), message: textOf(result, "message") }];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function textOf(value: unknown, name: string): string {
  const text = field(value, name);
  return typeof text === "string" ? text : "";
}
