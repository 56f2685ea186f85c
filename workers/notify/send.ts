import { Buffer } from "node:buffer";
import { addressOf, isBound, judgeAddress, redacted } from "../../core/alerts/channel.ts";
import type { ChannelTarget, DraftTarget } from "../../core/alerts/channel.ts";
import type { BindingTarget } from "../../core/alerts/channels/email.ts";
import type { ChannelRequest } from "../../core/alerts/channels/request.ts";
import type { Attempted } from "../../core/alerts/delivery.ts";
import { isListed } from "../../core/alerts/target-guard.ts";
import { sendBoundMail } from "./bound-mail.ts";
import { sendMail } from "./mail.ts";
import { leadsInside } from "./resolve.ts";
import { requestOf } from "./request.ts";
import type { ChannelMessage } from "./sign.ts";

/** A receiver that needs longer should answer first and work later. */
const TIMEOUT_MS = 5_000;
/** Channels whose host a user chooses; the others have hosts of their own. */
const ANY_HOST: ReadonlySet<string> = new Set(["webhook", "push", "email"]);
/** Bytes of an answer that are read: enough to drain an ordinary one so that the connection can be used again. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Characters of an error that are kept for people to read. */
const MAX_SHOWN_ERROR_CHARS = 214;
/** Characters that are read of it, so that a secret on the edge of what is kept is still recognised as one. */
const MAX_READ_ANSWER_CHARS = 4_096;

/** What sending needs of the environment. */
export type SendMeans = GuardMeans & Pick<Env, "EMAIL">;
/** What judging a target needs of it. */
export type GuardMeans = Pick<Env, "STREAMFLOW_MODE" | "TARGET_HOSTS">;

/** What an attempt came to, and for people: how long it took and why it failed. */
export interface SendAttempt {
  readonly attempted: Attempted;
  readonly latencyMs: number;
  readonly error: string | null;
}

/**
 * Sends a message to a channel once. Never throws for what a receiver does or how a channel is configured.
 * @param means of the environment: private targets are called in local mode only, whatever the channel says
 */
export async function sendOnce(target: ChannelTarget, message: ChannelMessage, means: SendMeans): Promise<SendAttempt> {
  const url = URL.parse(addressOf(target));
  const refusal = url === null ? "is not a URL" : await refusalOf(target, url, means);
  if (url === null || refusal !== null) return refused(`the target ${refusal ?? ""}`);
  const startedAt = Date.now();
  try {
    const { attempted, error } = isBound(target)
      ? await sendBoundMail(target, message, means.EMAIL)
      : await attempt(target, url, message, startedAt);
    return { attempted, latencyMs: Date.now() - startedAt, error: error === null ? null : shown(error, target) };
  } catch (error) {
    // Nothing was sent: a message that cannot be made now cannot be made later.
    return refused(shown(`the message could not be made: ${error instanceof Error ? error.message : ""}`, target));
  }
}

/** Why a target must not be called, or null when it may be: by its address, and in production by what its name resolves to. */
export async function refusalOf(target: DraftTarget, url: URL, means: GuardMeans): Promise<string | null> {
  if (isBound(target)) return null;
  const isLocal = means.STREAMFLOW_MODE === "local";
  const refusal = judgeAddress(target, url, isLocal);
  if (refusal !== null || isLocal || !ANY_HOST.has(target.type)) return refusal;
  if (!isListed(url.hostname, means.TARGET_HOSTS)) return "must be one of the hosts that this deployment allows";
  return (await leadsInside(url.hostname, Date.now())) ? "must not resolve to a private address" : null;
}

async function attempt(
  target: Exclude<ChannelTarget, BindingTarget>,
  url: URL,
  message: ChannelMessage,
  nowMs: number,
): Promise<Pick<SendAttempt, "attempted" | "error">> {
  if (target.type === "email") return await sendMail(target, message, nowMs);
  return await post(url, await requestOf(target, message, nowMs));
}

/** Without the channel's secrets, which a receiver may have repeated, and not longer than people read. */
function shown(error: string, target: ChannelTarget): string {
  return redacted(error, target).slice(0, MAX_SHOWN_ERROR_CHARS);
}

function refused(error: string): SendAttempt {
  return { attempted: { kind: "refused", error }, latencyMs: 0, error };
}

async function post(url: URL, request: ChannelRequest): Promise<Pick<SendAttempt, "attempted" | "error">> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: headersOf(request),
      body: request.body,
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const answer = await readSome(response);
    const { status } = response;
    const attempted = { kind: "answered" as const, status, retryAfter: response.headers.get("Retry-After") };
    return { attempted, error: response.ok ? null : describe(status, answer) };
  } catch (error) {
    const reason = describeFailure(error);
    return { attempted: { kind: "unanswered", error: reason }, error: reason };
  }
}

function headersOf({ headers, credentials }: ChannelRequest): Record<string, string> {
  const all = { "user-agent": "StreamFlow-Webhooks/1", ...headers };
  if (credentials === undefined) return all;
  const basic = Buffer.from(`${credentials.user}:${credentials.password}`).toString("base64");
  return { ...all, authorization: `Basic ${basic}` };
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
    if (text.length < MAX_READ_ANSWER_CHARS) text += decoder.decode(part.value, { stream: true });
    if (bytes > MAX_ANSWER_BYTES) {
      await reader.cancel();
      break;
    }
  }
  return text.slice(0, MAX_READ_ANSWER_CHARS);
}

function describe(status: number, answer: string): string {
  if (status >= 300 && status < 400) return `answered ${status}; redirects are not followed`;
  return answer === "" ? `answered ${status}` : `answered ${status}: ${answer}`;
}

function describeFailure(error: unknown): string {
  if (error instanceof DOMException && error.name === "TimeoutError") return `no answer within ${TIMEOUT_MS / 1000} s`;
  return error instanceof Error ? `no answer: ${error.message}` : "no answer";
}
