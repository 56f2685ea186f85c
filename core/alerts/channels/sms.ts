// Text messages by Twilio's Messages resource: one segment each, since each segment is billed.
// See https://www.twilio.com/docs/messaging/api/message-resource; the alphabet: 3GPP TS 23.038, 6.2.1.
import { z } from "zod";
import { alertsPage, cut, noticeOf } from "../notification.ts";
import type { Notification } from "../notification.ts";
import { apiUrlField } from "./fields.ts";
import type { ChannelRequest } from "./request.ts";

const TWILIO = "https://api.twilio.com";

/** One segment: 160 characters of the GSM alphabet, or 70 UTF-16 units when a character is not in it. */
const MAX_GSM_CHARS = 160;
const MAX_UCS2_CHARS = 70;

const GSM = /^[@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&'()*+,\-./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà^{}\\[~\]|€]*$/;
/** These take two places each. */
const GSM_DOUBLE = /[\^{}\\[~\]|€]/g;

const phone = z.string().regex(/^\+[1-9]\d{6,14}$/, "must be a phone number like +14155552671 (E.164)");

/** `config` of an SMS channel. `from` is a number, a short code or an alphanumeric sender; else a messaging service chooses. */
export const smsConfig = z
  .strictObject({
    account_sid: z.string().regex(/^AC[0-9a-fA-F]{32}$/, "must be AC and 32 hexadecimal digits"),
    auth_token: z.string().regex(/^[\x21-\x7e]{16,128}$/, "must be the account's auth token"),
    from: z
      .string()
      .regex(
        /^(?:\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11})$/,
        "must be a phone number like +14155552671, a short code, or at most 11 letters and digits",
      )
      .optional(),
    messaging_service_sid: z
      .string()
      .regex(/^MG[0-9a-fA-F]{32}$/, "must be MG and 32 hexadecimal digits")
      .optional(),
    to: phone,
    api_url: apiUrlField,
  })
  .refine(({ from, messaging_service_sid: service }) => (from === undefined) !== (service === undefined), {
    message: "exactly one of from and messaging_service_sid is needed",
    path: ["from"],
  });

export interface SmsTarget {
  readonly type: "sms";
  readonly accountSid: string;
  readonly authToken: string;
  readonly sender: { readonly From: string } | { readonly MessagingServiceSid: string };
  readonly to: string;
  /** In local mode only; null is Twilio itself. */
  readonly apiUrl: string | null;
  /** Origin of the platform, for links. */
  readonly dashboard: string;
}

export function shownSms({ accountSid, sender, to, apiUrl }: SmsTarget): Record<string, string | boolean> {
  return {
    account_sid: accountSid,
    auth_token_set: true,
    ...("From" in sender ? { from: sender.From } : { messaging_service_sid: sender.MessagingServiceSid }),
    to,
    ...(apiUrl === null ? {} : { api_url: apiUrl }),
  };
}

/** Where messages are created. */
export function smsUrl({ apiUrl, accountSid }: SmsTarget): string {
  return `${apiUrl ?? TWILIO}/2010-04-01/Accounts/${accountSid}/Messages.json`;
}

/** Renders the creation of one message. Twilio has no idempotency key: an attempt that was not answered may send it twice. */
export function renderSms(target: SmsTarget, notification: Notification): ChannelRequest {
  const form = { To: target.to, ...target.sender, Body: smsText(notification, target.dashboard) };
  return {
    url: smsUrl(target),
    headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
    body: Object.entries(form)
      .map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`)
      .join("&"),
    credentials: { user: target.accountSid, password: target.authToken },
  };
}

/** A message of one segment, with a link if it still fits. */
export function smsText(notification: Notification, dashboard: string): string {
  const { title, text } = noticeOf(notification);
  const whole = `${title}: ${text}`;
  const linked = `${whole} ${alertsPage(dashboard)}`;
  return fits(linked) ? linked : shortened(whole);
}

function fits(text: string): boolean {
  return GSM.test(text) ? gsmLength(text) <= MAX_GSM_CHARS : text.length <= MAX_UCS2_CHARS;
}

function shortened(text: string): string {
  if (fits(text)) return text;
  if (!GSM.test(text)) return cut(text, MAX_UCS2_CHARS);
  let short = cut(text, MAX_GSM_CHARS, "...");
  while (gsmLength(short) > MAX_GSM_CHARS) short = `${short.slice(0, -4)}...`;
  return short;
}

function gsmLength(text: string): number {
  return text.length + (text.match(GSM_DOUBLE)?.length ?? 0);
}
