// Web Push: what is sent, before it is encrypted (RFC 8291) and signed (RFC 8292).
import { z } from "zod";
import { cut, linkOf, noticeOf, subjectOf } from "../notification.ts";
import type { Notification } from "../notification.ts";
import { allowPrivateField, MAX_URL_CHARS, urlField } from "./fields.ts";
import { hostOnly } from "./slack.ts";

/** How long a push service keeps a message for a device that is away: an older alert is of little use. */
const PUSH_TTL_SECONDS = 3_600;
/** Push services must take 4,096 bytes, of which the encryption needs 103 (RFC 8291, section 4). UTF-8 needs up to 3 bytes a unit. */
const MAX_TITLE_CHARS = 200;
const MAX_TEXT_CHARS = 800;

/** `config` of a push channel: a browser's subscription as `JSON.stringify(subscription)` writes it. */
export const pushConfig = z.strictObject({
  endpoint: urlField,
  keys: z.strictObject({
    p256dh: z.string().regex(/^B[A-Za-z0-9_-]{86}$/, "must be the 65 bytes of a P-256 public key in base64url"),
    auth: z.string().regex(/^[A-Za-z0-9_-]{22}$/, "must be 16 bytes in base64url"),
  }),
  /** Browsers write it; the push service is the one to know. */
  expirationTime: z.number().nullable().optional(),
  subject: z
    .string()
    .max(MAX_URL_CHARS)
    .regex(/^(?:mailto:[^\s@]+@[^\s@]+|https:\/\/\S+)$/, "must be a mailto: or https: address of whoever runs this")
    .optional(),
  allow_private_targets: allowPrivateField,
});

/** The key pair by which push services know the platform, per tenant, base64url. */
export interface VapidKeys {
  /** 65 bytes, uncompressed: what a browser subscribes with. */
  readonly publicKey: string;
  /** 32 bytes. */
  readonly privateKey: string;
}

export interface PushTarget {
  readonly type: "push";
  readonly endpoint: string;
  readonly p256dh: string;
  readonly auth: string;
  /** Whom a push service may write to; null when nobody is known. */
  readonly subject: string | null;
  readonly vapid: VapidKeys;
  readonly allowPrivateTargets: boolean;
  /** Origin of the platform, for links. */
  readonly dashboard: string;
}

/** The endpoint's path is a capability: only its host may be shown. */
export function shownPush({
  endpoint,
  allowPrivateTargets,
}: Omit<PushTarget, "vapid">): Record<string, string | boolean> {
  return { endpoint: hostOnly(endpoint), keys_set: true, allow_private_targets: allowPrivateTargets };
}

/** A push message in the clear. */
export interface PushMessage {
  readonly headers: Readonly<Record<string, string>>;
  /** JSON that the service worker shows: `{title, body, tag, url, type}`. */
  readonly payload: string;
}

/** Renders a push message. A later one about the same alert takes the place of an undelivered earlier one. */
export function renderPush({ dashboard }: Pick<PushTarget, "dashboard">, notification: Notification): PushMessage {
  const { title, text, level } = noticeOf(notification);
  const subject = subjectOf(notification);
  const isFiring =
    notification.type === "alert.group" ? notification.data.status === "firing" : notification.type === "alert.firing";
  const isUrgent = notification.type === "alert.test" || (isFiring && level !== "info");
  return {
    headers: {
      ttl: String(PUSH_TTL_SECONDS),
      urgency: isUrgent ? "high" : "normal",
      // At most 32 characters of base64url (RFC 8030, section 5.4): a UUID without its dashes.
      topic: subject.replaceAll("-", "").slice(0, 32),
    },
    payload: JSON.stringify({
      type: notification.type,
      title: cut(plain(title), MAX_TITLE_CHARS),
      body: cut(plain(text), MAX_TEXT_CHARS),
      tag: subject,
      url: linkOf(dashboard, notification),
    }),
  };
}

/** Without what JSON would write as six bytes: control characters and halves of surrogate pairs. */
function plain(text: string): string {
  return text.toWellFormed().replaceAll(/\p{Cc}/gu, " ");
}
