// What to do after one attempt to deliver a notification.

/** What one attempt came to. */
export type Attempted =
  | { readonly kind: "answered"; readonly status: number; readonly retryAfter: string | null }
  /** No answer: refused, unreachable, timed out. */
  | { readonly kind: "unanswered"; readonly error: string }
  /** Not even tried, and never will be: the target may not be called. */
  | { readonly kind: "refused"; readonly error: string };

/** What becomes of a notification after an attempt. */
export type Decision =
  | { readonly outcome: "delivered" }
  | { readonly outcome: "retry"; readonly delaySeconds: number }
  | { readonly outcome: "failed" };

/** Attempts per notification and channel: with the delays below the last one comes about 6 hours after the first. */
export const MAX_ATTEMPTS = 15;
/** Delay before the second attempt; doubles with each further one. */
export const FIRST_DELAY_SECONDS = 5;
/** No delay is longer, whatever a receiver asks for: an alert hours late is of little use, and the queue allows 12 h. */
export const MAX_DELAY_SECONDS = 3_600;

/**
 * Decides what follows an attempt. 408, 425, 429, 5xx and no answer at all are worth another try; any other status
 * but 2xx will not change by itself. A redirect is such a one: following it would leave the guarded target.
 * @param attempt 1-based number of this attempt
 * @param nowMs   epoch ms, to read a Retry-After that is a date
 * @param random  in [0, 1): spreads retries so that receivers that fell together are not hit together
 */
export function decideDelivery(attempted: Attempted, attempt: number, nowMs: number, random: number): Decision {
  if (attempted.kind === "refused") return { outcome: "failed" };
  if (attempted.kind === "answered") {
    if (attempted.status >= 200 && attempted.status < 300) return { outcome: "delivered" };
    if (!isTransient(attempted.status)) return { outcome: "failed" };
  }
  if (attempt >= MAX_ATTEMPTS) return { outcome: "failed" };
  const asked = attempted.kind === "answered" ? retryAfterSeconds(attempted.retryAfter, nowMs) : null;
  return { outcome: "retry", delaySeconds: delaySeconds(attempt, asked, random) };
}

/** What an attempt says about its receiver, whatever the message was. */
export interface Strain {
  /** It did not answer, or answered that it cannot take anything now. */
  readonly isDown: boolean;
  /** Seconds for which it wants to be left alone, at most MAX_DELAY_SECONDS; null when it did not say. */
  readonly retryAfterSeconds: number | null;
}

/** @returns null when the receiver was not even asked */
export function strainOf(attempted: Attempted, nowMs: number): Strain | null {
  if (attempted.kind === "refused") return null;
  if (attempted.kind === "unanswered") return { isDown: true, retryAfterSeconds: null };
  const isDown = isTransient(attempted.status);
  const asked = isDown ? retryAfterSeconds(attempted.retryAfter, nowMs) : null;
  return { isDown, retryAfterSeconds: asked === null ? null : Math.min(MAX_DELAY_SECONDS, asked) };
}

function isTransient(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/** Half of the doubling delay is fixed and half random; never earlier than the receiver asked for. */
function delaySeconds(attempt: number, askedSeconds: number | null, random: number): number {
  const grown = Math.min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (attempt - 1));
  const jittered = grown / 2 + (grown / 2) * random;
  return Math.ceil(Math.min(MAX_DELAY_SECONDS, Math.max(jittered, askedSeconds ?? 0)));
}

/**
 * Reads a Retry-After header: seconds or an HTTP date.
 * @returns seconds ≥ 0, null when there is none or it cannot be read
 * @see RFC 9110 section 10.2.3
 */
export function retryAfterSeconds(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d{1,10}$/.test(text)) return Number(text);
  const atMs = /[A-Za-z]/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? null : Math.max(0, (atMs - nowMs) / 1000);
}
