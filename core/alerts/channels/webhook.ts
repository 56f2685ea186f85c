import { z } from "zod";
import { allowPrivateField, urlField } from "./fields.ts";

/** Decoded bytes of a signing secret: 128 bits at least, and no more than Standard Webhooks allows. */
export const MIN_SECRET_BYTES = 16;
const MAX_SECRET_BYTES = 64;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function isSecret(text: string): boolean {
  const base64 = text.replace(/^whsec_/, "");
  if (!BASE64.test(base64)) return false;
  const bytes = (base64.length / 4) * 3 - (base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0);
  return bytes >= MIN_SECRET_BYTES && bytes <= MAX_SECRET_BYTES;
}

/** `config` of a webhook. */
export const webhookConfig = z.strictObject({
  url: urlField,
  secret: z
    .string()
    .refine(isSecret, {
      message: `must be whsec_ and base64 of ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} random bytes (Standard Webhooks)`,
    })
    .optional(),
  allow_private_targets: allowPrivateField,
});

/** Where a webhook goes and how it is signed. */
export interface WebhookTarget {
  readonly type: "webhook";
  readonly url: string;
  /** `whsec_` and base64, or base64 alone. */
  readonly secret: string;
  readonly allowPrivateTargets: boolean;
}

/** A webhook as it may be shown: without its secret, and without the URL's path and query, where tokens hide. */
export function shownWebhook({ url, allowPrivateTargets }: WebhookTarget): Record<string, string | boolean> {
  return { url: shownUrl(url), secret_set: true, allow_private_targets: allowPrivateTargets };
}

/** A URL for people to recognise: its path and query are hidden, for either may be the secret. */
export function shownUrl(url: string): string {
  const origin = /^https?:\/\/[^/?#]*/i.exec(url)?.[0] ?? "";
  return url.length > origin.length + 1 ? `${origin}/…` : `${origin}/`;
}
