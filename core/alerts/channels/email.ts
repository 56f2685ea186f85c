// Mail: plain text, one thread per alert. See RFC 5322 (the message), RFC 2047 (its subject), RFC 3834 (Auto-Submitted).
import { z } from "zod";
import { base64 } from "../base64.ts";
import { cut, linkOf, noticeOf, subjectOf } from "../notification.ts";
import type { AlertNotification, Notification } from "../notification.ts";
import { isMailAddress } from "../smtp.ts";
import type { MailSecurity, Submission } from "../smtp.ts";
import { allowPrivateField } from "./fields.ts";

const MAX_READERS = 10;
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

const readers = z.union([address.transform((one) => [one]), z.array(address).min(1).max(MAX_READERS)]);

const smtpConfig = z
  .strictObject({
    transport: z.literal("smtp"),
    host: z
      .string()
      .max(253)
      .regex(/^[A-Za-z0-9.-]+$/, "must be a host name"),
    port: z.int().min(1).max(65_535).default(465),
    security: z.enum(["tls", "starttls", "none"]).optional(),
    username: secretText.optional(),
    password: secretText.optional(),
    from: address,
    to: readers,
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

const bindingConfig = z.strictObject({ transport: z.literal("binding"), from: address, to: readers });

/** `config` of an email channel; SMTP unless it says otherwise. `security` `none` and other ports exist in local mode only. */
export const emailConfig = z.preprocess(
  (config) => (isObject(config) && !("transport" in config) ? { ...config, transport: "smtp" } : config),
  z.discriminatedUnion("transport", [smtpConfig, bindingConfig], {
    error: ({ code }) => (code === "invalid_union" ? "must be smtp or binding" : undefined),
  }),
);

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface MailTarget {
  readonly type: "email";
  readonly from: string;
  readonly to: readonly string[];
  /** Origin of the platform, for links. */
  readonly dashboard: string;
}

/** A mail server. */
export interface SmtpTarget extends MailTarget {
  /** Absent in channels that were made when there was no other. */
  readonly transport?: "smtp";
  readonly host: string;
  readonly port: number;
  readonly security: MailSecurity;
  readonly login: { readonly username: string; readonly password: string } | null;
  readonly allowPrivateTargets: boolean;
}

/** The platform's own mail: nothing to connect to and no secret. */
export interface BindingTarget extends MailTarget {
  readonly transport: "binding";
}

export type EmailTarget = SmtpTarget | BindingTarget;

/** The target of a valid `config`. TLS from the start is the default on port 465, STARTTLS elsewhere. */
export function emailTarget(config: z.infer<typeof emailConfig>, dashboard: string): EmailTarget {
  const { from, to } = config;
  if (config.transport === "binding") return { type: "email", transport: "binding", from, to, dashboard };
  const { host, port, username, password, allow_private_targets: allowPrivateTargets = false } = config;
  const security = config.security ?? (port === 465 ? "tls" : "starttls");
  const login = username === undefined || password === undefined ? null : { username, password };
  return { type: "email", transport: "smtp", host, port, security, login, from, to, allowPrivateTargets, dashboard };
}

export function shownEmail(target: EmailTarget): Record<string, string | number | boolean> {
  const { from, to } = target;
  const readers = { from, to: to.join(", ") };
  if (target.transport === "binding") return { transport: "binding", ...readers };
  const { host, port, security, login, allowPrivateTargets } = target;
  const account = login === null ? {} : { username: login.username, password_set: true };
  return {
    transport: "smtp",
    host,
    port,
    security,
    ...account,
    ...readers,
    allow_private_targets: allowPrivateTargets,
  };
}

/** What a mail says. */
export interface Mail {
  readonly subject: string;
  /** Plain text, lines ended by CRLF. */
  readonly text: string;
  /** The thread it belongs to, without angle brackets: one per alert. */
  readonly thread: string;
}

/** @param id of the message, the same in every attempt */
export function mailOf(target: EmailTarget, id: string, notification: Notification): Mail {
  const thread = notification.type === "alert.test" ? id : subjectOf(notification);
  return {
    subject: cut(noticeOf(notification).title, MAX_SUBJECT_CHARS),
    text: textOf(target, notification).toWellFormed(),
    thread: `${thread}@${domainOf(target)}`,
  };
}

/** Of the sender. */
export function domainOf({ from }: MailTarget): string {
  return from.slice(from.indexOf("@") + 1);
}

/**
 * Renders a mail for a mail server.
 * @param id of the message, the same in every attempt: the mail's Message-ID
 * @param nowMs epoch ms
 */
export function renderEmail(target: SmtpTarget, id: string, notification: Notification, nowMs: number): Submission {
  const { from, to, security, login } = target;
  const domain = domainOf(target);
  const { subject, text, thread } = mailOf(target, id, notification);
  const headers = [
    `From: StreamFlow <${from}>`,
    `To: ${to.join(",\r\n ")}`,
    ...subjectLines(subject),
    `Date: ${new Date(nowMs).toUTCString().replace("GMT", "+0000")}`,
    `Message-ID: <${id}@${domain}>`,
    `References: <${thread}>`,
    "Auto-Submitted: auto-generated",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: base64",
  ];
  const body = base64(text).replaceAll(/.{76}(?=.)/g, "$&\r\n");
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
  const details = "alert" in notification.data ? detailsOf(notification.data) : [];
  return [title, "", ...text.split("\n"), "", ...details, linkOf(dashboard, notification), ""].join("\r\n");
}

function detailsOf({ alert, window, group, values }: AlertNotification["data"]): string[] {
  const named = { Window: `${window.start} to ${window.end}`, ...group, ...values, ...alert.annotations };
  const lines = Object.entries(named).map(
    ([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return [...lines, ""];
}
