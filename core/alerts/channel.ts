import { z } from "zod";

/** The kinds of channel that this version can send to. */
export const CHANNEL_TYPES: readonly string[] = ["webhook"];

/** Decoded bytes of a signing secret: 128 bits at least, and no more than Standard Webhooks allows. */
export const MIN_SECRET_BYTES = 16;
export const MAX_SECRET_BYTES = 64;
export const MAX_URL_CHARS = 2_000;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function isSecret(text: string): boolean {
  const base64 = text.replace(/^whsec_/, "");
  if (!BASE64.test(base64)) return false;
  const bytes = (base64.length / 4) * 3 - (base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0);
  return bytes >= MIN_SECRET_BYTES && bytes <= MAX_SECRET_BYTES;
}

/** The body of `POST /api/v1/channels`. Whether the URL may be called is `judgeTarget`'s business. */
export const channelSchema = z.strictObject({
  name: z.string().trim().min(1).max(200),
  type: z.string().refine((type) => CHANNEL_TYPES.includes(type), {
    message: `is not supported yet: this version sends to ${CHANNEL_TYPES.join(", ")}`,
  }),
  config: z.strictObject({
    url: z.string().min(1).max(MAX_URL_CHARS),
    secret: z
      .string()
      .refine(isSecret, {
        message: `must be whsec_ and base64 of ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} random bytes (Standard Webhooks)`,
      })
      .optional(),
    allow_private_targets: z.boolean().optional(),
  }),
});

/** A channel as its user wrote it, valid. */
export type ChannelSpec = z.infer<typeof channelSchema>;

/** Where a webhook goes and how it is signed: what is encrypted at rest. */
export interface WebhookTarget {
  readonly url: string;
  /** `whsec_` and base64, or base64 alone. */
  readonly secret: string;
  readonly allowPrivateTargets: boolean;
}

/** A channel as it may be shown: without its secret, and without the URL's query, where tokens hide. */
export interface ChannelJson {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly config: { readonly url: string; readonly secret_set: true; readonly allow_private_targets: boolean };
  readonly created_at: string;
}

/** A URL for people to recognise, its query hidden. */
export function shownUrl(url: string): string {
  const query = url.search(/[?#]/);
  return query === -1 ? url : `${url.slice(0, query)}?…`;
}
