import { Buffer } from "node:buffer";
import type { WebhookTarget } from "../../core/alerts/channel.ts";
import type { Attempted } from "../../core/alerts/delivery.ts";
import { judgeTarget } from "../../core/alerts/target-guard.ts";

/** A receiver that needs longer should answer first and work later. */
const TIMEOUT_MS = 5_000;
/** Bytes of an answer that are read: enough to drain an ordinary one so that the connection can be used again. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Characters of a refusing answer that are kept for people to read. */
const MAX_SHOWN_ANSWER_CHARS = 200;

/** One message for a webhook. */
export interface WebhookMessage {
  /** webhook-id: the same in every attempt, so that a receiver can drop repeats. No dots. */
  readonly id: string;
  /** JSON text. */
  readonly body: string;
}

/** What an attempt came to, and for people: how long it took and why it failed. */
export interface WebhookAttempt {
  readonly attempted: Attempted;
  readonly latencyMs: number;
  readonly error: string | null;
}

/**
 * Posts a message once, signed. Never throws for what a receiver does.
 * @param mode STREAMFLOW_MODE: private targets are called in `local` only, whatever the channel says
 * @see Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export async function postWebhook(
  target: WebhookTarget,
  message: WebhookMessage,
  mode: string,
): Promise<WebhookAttempt> {
  const startedAt = Date.now();
  const url = URL.parse(target.url);
  const refusal = url === null ? "is not a URL" : judgeTarget(url, target.allowPrivateTargets && mode === "local");
  if (url === null || refusal !== null) {
    const error = `the target ${refusal ?? ""}`;
    return { attempted: { kind: "refused", error }, latencyMs: 0, error };
  }
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: await signedHeaders(target.secret, message, startedAt),
      body: message.body,
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const shown = await readSome(response);
    const attempted = {
      kind: "answered" as const,
      status: response.status,
      retryAfter: response.headers.get("Retry-After"),
    };
    return {
      attempted,
      latencyMs: Date.now() - startedAt,
      error: response.ok ? null : describe(response.status, shown),
    };
  } catch (error) {
    const reason = describeFailure(error);
    return { attempted: { kind: "unanswered", error: reason }, latencyMs: Date.now() - startedAt, error: reason };
  }
}

/** The headers of a message. @param nowMs epoch ms of this attempt, which receivers compare with their clock */
export async function signedHeaders(
  secret: string,
  { id, body }: WebhookMessage,
  nowMs: number,
): Promise<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1000));
  const bytes = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(`${id}.${timestamp}.${body}`));
  return {
    "content-type": "application/json; charset=utf-8",
    "user-agent": "StreamFlow-Webhooks/1",
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${Buffer.from(signature).toString("base64")}`,
  };
}

/** A new signing secret. */
export function newSecret(): string {
  return `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`;
}

/** Reads an answer up to the limit and drops the rest. @returns its beginning */
async function readSome(response: Response): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.length;
    if (text.length < MAX_SHOWN_ANSWER_CHARS) text += decoder.decode(part.value, { stream: true });
    if (bytes > MAX_ANSWER_BYTES) {
      await reader.cancel();
      break;
    }
  }
  return text.slice(0, MAX_SHOWN_ANSWER_CHARS);
}

function describe(status: number, answer: string): string {
  if (status >= 300 && status < 400) return `answered ${status}; redirects are not followed`;
  return answer === "" ? `answered ${status}` : `answered ${status}: ${answer}`;
}

function describeFailure(error: unknown): string {
  if (error instanceof DOMException && error.name === "TimeoutError") return `no answer within ${TIMEOUT_MS / 1000} s`;
  return error instanceof Error ? `no answer: ${error.message}` : "no answer";
}
