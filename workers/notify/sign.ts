import { Buffer } from "node:buffer";

/** One message for a channel. */
export interface ChannelMessage {
  /** The same in every attempt, so that a receiver can drop repeats. No dots. */
  readonly id: string;
  /** A notification as JSON text. */
  readonly body: string;
}

/**
 * The headers of a webhook's message.
 * @param nowMs epoch ms of this attempt, which receivers compare with their clock
 * @see Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export async function signedHeaders(
  secret: string,
  { id, body }: ChannelMessage,
  nowMs: number,
): Promise<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1000));
  const bytes = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(`${id}.${timestamp}.${body}`));
  return {
    "content-type": "application/json; charset=utf-8",
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${Buffer.from(signature).toString("base64")}`,
  };
}

/** A new signing secret. */
export function newSecret(): string {
  return `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`;
}
