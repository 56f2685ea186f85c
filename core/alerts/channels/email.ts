// Mail: plain text, one thread per alert. See RFC 5322 (the message), RFC 2047 (its subject), RFC 3834 (Auto-Submitted).
import { z } from "zod";
import { base64 } from "../base64.ts";
import { alertsPage, cut, noticeOf } from "../notification.ts";
import type { AlertNotification, Notification } from "../notification.ts";
import { isMailAddress } from "../smtp.ts";
import type { MailSecurity, Submission } from "../smtp.ts";
import { allowPrivateField } from "./fields.ts";

export const MAX_READERS = 10;
const MAX_SUBJECT_CHARS = 200;
/** In base64 and with its marks, behind `Subject: `, that is a line of 73 characters. */
const MAX_WORD_BYTES = 39;
/** Submission with TLS, with STARTTLS, and what some providers have besides. Port 25 is closed to Workers. */
const PORTS: ReadonlySet<number> = new Set([465, 587, 2525]);

const address = z.string().refine(isMailAddress, { message: "must be a mail address like ops@example.com, alone" });
const secretText = z
  .string()
  .max(512)
  .regex(/^[^\p{Cc}]+$/u, "must not be empty or have control characters");

/** `config` of an email channel. `security` `none` and other ports exist in local mode only. */
export const emailConfig = z
  .strictObject({
    host: z
      .string()
      .max(253)
      .regex(/^[A-Za-z0-9.-]+$/, "must be a host name"),
    port: z.int().min(1).max(65_535).default(465),
    security: z.enum(["tls", "starttls", "none"]).optional(),
    username: secretText.optional(),
    password: secretText.optional(),
    from: address,
    to: z.union([address.transform((one) => [one]), z.array(address).min(1).max(MAX_READERS)]),
    allow_private_targets: allowPrivateField,
  })
  .refine(({ username, password }) => (username === undefined) === (password === undefined), {
    message: "username and password go together",
    path: ["password"],
  })
  .refine(({ port, allow_private_targets: isPrivate }) => isPrivate === true || PORTS.has(port), {
    message: `must be ${[...PORTS].join(", ")}`,
    path: ["port"],
  })
  .refine(({ security, allow_private_targets: isPrivate }) => isPrivate === true || security !== "none", {
    message: "must be tls or starttls",
    path: ["security"],
  });

export interface EmailTarget {
  readonly type: "email";
  readonly host: string;
  readonly port: number;
  readonly security: MailSecurity;
  readonly login: { readonly username: string; readonly password: string } | null;
  readonly from: string;
  readonly to: readonly string[];
  readonly allowPrivateTargets: boolean;
  /** Origin of the platform, for links. */
  readonly dashboard: string;
}

/** The target of a valid `config`. TLS from the start is the default on port 465, STARTTLS elsewhere. */
export function emailTarget(config: z.infer<typeof emailConfig>, dashboard: string): EmailTarget {
  const { host, port, username, password, from, to, allow_private_targets: allowPrivateTargets = false } = config;
  const security = config.security ?? (port === 465 ? "tls" : "starttls");
  const login = username === undefined || password === undefined ? null : { username, password };
  return { type: "email", host, port, security, login, from, to, allowPrivateTargets, dashboard };
}

export function shownEmail(target: EmailTarget): Record<string, string | number | boolean> {
  const { host, port, security, login, from, to, allowPrivateTargets } = target;
  const account = login === null ? {} : { username: login.username, password_set: true };
  return { host, port, security, ...account, from, to: to.join(", "), allow_private_targets: allowPrivateTargets };
}

/**
 * Renders a mail.
 * @param id of the message, the same in every attempt: the mail's Message-ID
 * @param nowMs epoch ms
 */
export function renderEmail(target: EmailTarget, id: string, notification: Notification, nowMs: number): Submission {
  const { from, to, security, login } = target;
  const domain = from.slice(from.indexOf("@") + 1);
  const thread = notification.type === "alert.test" ? id : notification.data.alert.id;
  const headers = [
    `From: StreamFlow <${from}>`,
    `To: ${to.join(",\r\n ")}`,
    ...subjectLines(cut(noticeOf(notification).title, MAX_SUBJECT_CHARS)),
    `Date: ${new Date(nowMs).toUTCString().replace("GMT", "+0000")}`,
    `Message-ID: <${id}@${domain}>`,
    `References: <${thread}@${domain}>`,
    "Auto-Submitted: auto-generated",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: base64",
  ];
  const body = base64(textOf(target, notification).toWellFormed()).replaceAll(/.{76}(?=.)/g, "$&\r\n");
  const message = `${headers.join("\r\n")}\r\n\r\n${body}`;
  return { security, login, clientName: domain, from, to, message };
}

/** Words in base64 of at most 75 characters each (RFC 2047, section 2): nothing in them can be taken for another header. */
function subjectLines(subject: string): string[] {
  const words: string[] = [];
  let word = "";
  for (const letter of subject.toWellFormed()) {
    if (new TextEncoder().encode(word + letter).length > MAX_WORD_BYTES) {
      words.push(word);
      word = "";
    }
    word += letter;
  }
  return [`Subject: ${[...words, word].map((part) => `=?utf-8?B?${base64(part)}?=`).join("\r\n ")}`];
}

function textOf({ dashboard }: EmailTarget, notification: Notification): string {
  const { title, text } = noticeOf(notification);
  const details = notification.type === "alert.test" ? [] : detailsOf(notification.data);
  return [title, "", text, "", ...details, alertsPage(dashboard), ""].join("\r\n");
}

function detailsOf({ alert, window, group, values }: AlertNotification["data"]): string[] {
  const named = { Window: `${window.start} to ${window.end}`, ...group, ...values, ...alert.annotations };
  const lines = Object.entries(named).map(
    ([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return [...lines, ""];
}
