import { z } from "zod";
import { base64 } from "./base64.ts";
import { domainOf, emailConfig, emailTarget, shownEmail } from "./channels/email.ts";
import type { BindingTarget, EmailTarget } from "./channels/email.ts";
import { pagerDutyConfig, pagerDutyUrl, shownPagerDuty } from "./channels/pagerduty.ts";
import type { PagerDutyTarget } from "./channels/pagerduty.ts";
import { pushConfig, shownPush } from "./channels/push.ts";
import type { PushTarget } from "./channels/push.ts";
import { shownSlack, SLACK_HOSTS, slackConfig } from "./channels/slack.ts";
import type { SlackTarget } from "./channels/slack.ts";
import { shownSms, smsConfig, smsUrl } from "./channels/sms.ts";
import type { SmsTarget } from "./channels/sms.ts";
import { shownWebhook, webhookConfig } from "./channels/webhook.ts";
import type { WebhookTarget } from "./channels/webhook.ts";
import { judgeTarget } from "./target-guard.ts";
import type { TargetParts } from "./target-guard.ts";

/** The kinds of channel that this version can send to. */
const CHANNEL_TYPES = ["webhook", "slack", "pagerduty", "sms", "push", "email"] as const;
export type ChannelType = (typeof CHANNEL_TYPES)[number];

const name = z.string().trim().min(1).max(200);
const variant = <Type extends ChannelType, Config extends z.ZodType>(type: Type, config: Config) =>
  z.strictObject({ name, type: z.literal(type), config });

/** The body of `POST /api/v1/channels`. Whether an address may be called is `judgeAddress`'s business. */
export const channelSchema = z.discriminatedUnion(
  "type",
  [
    variant("webhook", webhookConfig),
    variant("slack", slackConfig),
    variant("pagerduty", pagerDutyConfig),
    variant("sms", smsConfig),
    variant("push", pushConfig),
    variant("email", emailConfig),
  ],
  {
    error: ({ code }) =>
      code === "invalid_union" ? `is not supported: this version sends to ${CHANNEL_TYPES.join(", ")}` : undefined,
  },
);

/** A channel as its user wrote it, valid. */
export type ChannelSpec = z.infer<typeof channelSchema>;

/** Where messages go and what proves who sends them: what is encrypted at rest. */
export type ChannelTarget = WebhookTarget | SlackTarget | PagerDutyTarget | SmsTarget | PushTarget | EmailTarget;

/** A target before the alert manager has added the tenant's own push keys. */
export type DraftTarget = Exclude<ChannelTarget, PushTarget> | Omit<PushTarget, "vapid">;

/** A channel as it may be shown: without its secrets. */
export interface ChannelJson {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly config: Readonly<Record<string, string | number | boolean>>;
  readonly created_at: string;
}

/**
 * The target that a valid channel asks for.
 * @param dashboard origin of the platform, for links
 * @param newSecret a signing secret for a webhook that brings none
 */
export function targetOf(spec: ChannelSpec, dashboard: string, newSecret: () => string): DraftTarget {
  switch (spec.type) {
    case "webhook": {
      const { url, secret = newSecret(), allow_private_targets: allowPrivateTargets = false } = spec.config;
      return { type: "webhook", url, secret, allowPrivateTargets };
    }
    case "slack": {
      const { url, allow_private_targets: allowPrivateTargets = false } = spec.config;
      return { type: "slack", url, allowPrivateTargets, dashboard };
    }
    case "pagerduty": {
      const { routing_key: routingKey, region, api_url: apiUrl = null } = spec.config;
      return { type: "pagerduty", routingKey, region, apiUrl, dashboard };
    }
    case "sms": {
      const { account_sid: accountSid, auth_token: authToken, to, api_url: apiUrl = null } = spec.config;
      const { from, messaging_service_sid: service = "" } = spec.config;
      const sender = from === undefined ? { MessagingServiceSid: service } : { From: from };
      return { type: "sms", accountSid, authToken, sender, to, apiUrl, dashboard };
    }
    case "push": {
      const { endpoint, keys, allow_private_targets: allowPrivateTargets = false } = spec.config;
      const subject = spec.config.subject ?? (dashboard.startsWith("https:") ? dashboard : null);
      return { type: "push", endpoint, ...keys, subject, allowPrivateTargets, dashboard };
    }
    case "email":
      return emailTarget(spec.config, dashboard);
  }
}

/** What may be shown of a channel's configuration. */
export function shownConfig(target: DraftTarget): ChannelJson["config"] {
  switch (target.type) {
    case "webhook":
      return shownWebhook(target);
    case "slack":
      return shownSlack(target);
    case "pagerduty":
      return shownPagerDuty(target);
    case "sms":
      return shownSms(target);
    case "push":
      return shownPush(target);
    case "email":
      return shownEmail(target);
  }
}

/** The field of `config` in which a channel's address stands. */
export const ADDRESS_FIELDS = {
  webhook: "url",
  slack: "url",
  pagerduty: "api_url",
  sms: "api_url",
  push: "endpoint",
  email: "host",
} as const satisfies Record<ChannelType, string>;

/** Where a channel's messages go, as a URL to judge; all but mail is posted there. */
export function addressOf(target: DraftTarget): string {
  switch (target.type) {
    case "webhook":
    case "slack":
      return target.url;
    case "pagerduty":
      return pagerDutyUrl(target);
    case "sms":
      return smsUrl(target);
    case "push":
      return target.endpoint;
    case "email":
      // As a URL, because its parser writes every form of an IP address alike.
      return `https://${target.transport === "binding" ? domainOf(target) : target.host}/`;
  }
}

/** Whether the platform itself carries the messages: there is no address to judge. */
export function isBound(target: DraftTarget): target is BindingTarget {
  return target.type === "email" && target.transport === "binding";
}

/** Whether the channel asks for an address that exists in local mode only. */
export function wantsPrivate(target: DraftTarget): boolean {
  if (isBound(target)) return false;
  return "apiUrl" in target ? target.apiUrl !== null : target.allowPrivateTargets;
}

/**
 * Judges the parsed address of a channel, when it is made and again before each post.
 * @param isLocal STREAMFLOW_MODE is `local`: private targets are called where the channel asks for them
 * @returns why it must not be called, or null when it may be
 */
export function judgeAddress(target: DraftTarget, url: TargetParts, isLocal: boolean): string | null {
  if (wantsPrivate(target) && isLocal) return judgeTarget(url, true);
  return judgeTarget(url, false) ?? elsewhere(target, url);
}

/** Providers have hosts of their own; what is meant for them goes nowhere else. */
function elsewhere(target: DraftTarget, { hostname }: TargetParts): string | null {
  if (target.type === "slack" && !SLACK_HOSTS.has(hostname)) return `must be at ${[...SLACK_HOSTS].join(" or ")}`;
  if ("apiUrl" in target && target.apiUrl !== null) return "exists only in local mode";
  return null;
}

/** Texts that must not be shown or logged, whoever repeats them. */
function secretsOf(target: ChannelTarget): string[] {
  switch (target.type) {
    case "webhook":
      return [target.secret, target.secret.replace(/^whsec_/, ""), ...queryOf(target.url)];
    case "slack":
      return pathOf(target.url);
    case "pagerduty":
      return [target.routingKey];
    case "sms":
      return [target.authToken];
    case "push":
      return [target.auth, target.vapid.privateKey, ...pathOf(target.endpoint)];
    case "email":
      return isBound(target) || target.login === null ? [] : wordsOf(target.login);
  }
}

/** The password as it is and as it is on the wire. */
function wordsOf({ username, password }: { readonly username: string; readonly password: string }): string[] {
  return [base64(`\0${username}\0${password}`), base64(password), password];
}

/** Replaces a channel's secrets in a text, such as the answer of a receiver that repeats what it was sent. */
export function redacted(text: string, target: ChannelTarget): string {
  let shown = text;
  for (const secret of secretsOf(target)) if (secret.length >= 8) shown = shown.replaceAll(secret, "[secret]");
  return shown;
}

function queryOf(url: string): string[] {
  const query = url.indexOf("?");
  if (query === -1) return [];
  const values = url
    .slice(query + 1)
    .split(/[&#]/)
    .map((pair) => pair.slice(pair.indexOf("=") + 1));
  return [url.slice(query + 1), ...values];
}

function pathOf(url: string): string[] {
  const path = url.replace(/^[^/]*\/\/[^/]*\//, "");
  return [path, path.slice(path.indexOf("/") + 1), ...path.split(/[/?&=]/).filter((part) => part.length >= 16)];
}

/** Whether a channel of this type is told of acknowledgements: only where they stop something. */
export function hearsAcknowledgements(type: string): boolean {
  return type === "pagerduty";
}
