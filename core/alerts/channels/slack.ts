// Slack's incoming webhooks: blocks for people, and a plain text for notifications and screen readers.
// See https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and /reference/block-kit/blocks.
import { z } from "zod";
import { cut, linkOf, noticeOf } from "../notification.ts";
import type { AlertNotification, Notification } from "../notification.ts";
import { allowPrivateField, urlField } from "./fields.ts";
import type { ChannelRequest } from "./request.ts";

/** Where Slack takes messages; the second is its cloud for governments. */
export const SLACK_HOSTS: ReadonlySet<string> = new Set(["hooks.slack.com", "hooks.slack-gov.com"]);

/** Slack refuses a message with a longer header, section or field, or with more fields. */
export const MAX_HEADER_CHARS = 150;
export const MAX_SECTION_CHARS = 3_000;
const MAX_FIELD_CHARS = 2_000;
const MAX_FIELDS = 10;

/** `config` of a Slack channel: the address that Slack shows when a webhook is added. It is a secret. */
export const slackConfig = z.strictObject({ url: urlField, allow_private_targets: allowPrivateField });

export interface SlackTarget {
  readonly type: "slack";
  readonly url: string;
  readonly allowPrivateTargets: boolean;
  /** Origin of the platform, for links. */
  readonly dashboard: string;
}

/** Of the address only the host may be shown: whoever knows the rest can post. */
export function shownSlack({ url, allowPrivateTargets }: SlackTarget): Record<string, string | boolean> {
  return { url: hostOnly(url), allow_private_targets: allowPrivateTargets };
}

/** A URL up to its path. */
export function hostOnly(url: string): string {
  return `${/^[^/]*\/\/[^/?#]*/.exec(url)?.[0] ?? ""}/…`;
}

const EMOJI: Readonly<Record<Notification["type"], string>> = {
  "alert.firing": ":rotating_light:",
  "alert.acknowledged": ":eyes:",
  "alert.resolved": ":white_check_mark:",
  "alert.group": ":rotating_light:",
  "alert.test": ":wrench:",
};

function emojiOf(notification: Notification): string {
  const hasEnded = notification.type === "alert.group" && notification.data.status === "resolved";
  return EMOJI[hasEnded ? "alert.resolved" : notification.type];
}

/** Renders a message for an incoming webhook. */
export function renderSlack(target: SlackTarget, notification: Notification): ChannelRequest {
  const { title, text } = noticeOf(notification);
  const link = `<${linkOf(target.dashboard, notification)}|Open in StreamFlow>`;
  const fields = "alert" in notification.data ? fieldsOf(notification.data) : [];
  const message = {
    text: escaped(`${title}: ${text}`, MAX_SECTION_CHARS),
    blocks: [
      {
        type: "header",
        text: { type: "plain_text", text: cut(`${emojiOf(notification)} ${title}`, MAX_HEADER_CHARS), emoji: true },
      },
      { type: "section", text: mrkdwn(escaped(text, MAX_SECTION_CHARS)) },
      ...(fields.length === 0 ? [] : [{ type: "section", fields }]),
      { type: "context", elements: [mrkdwn(link)] },
    ],
    unfurl_links: false,
  };
  return {
    url: target.url,
    headers: { "content-type": "application/json; charset=utf-8" },
    body: JSON.stringify(message),
  };
}

/** The window, the group and the values; measures beyond what Slack takes are left out. */
function fieldsOf(data: AlertNotification["data"]): object[] {
  const named = { Window: `${data.window.start} – ${data.window.end}`, ...data.group, ...data.values };
  return Object.entries(named)
    .slice(0, MAX_FIELDS)
    .map(([name, value]) => {
      const shown = typeof value === "string" ? value : JSON.stringify(value);
      return mrkdwn(`*${escaped(name, 200)}*\n${escaped(shown, MAX_FIELD_CHARS - 300)}`);
    });
}

function mrkdwn(text: string): object {
  return { type: "mrkdwn", text };
}

/** Escapes what is Slack's markup, so that no value can mention a channel or disguise a link, and cuts what is then too long. */
function escaped(text: string, maxChars: number): string {
  const whole = escape(text);
  if (whole.length <= maxChars) return whole;
  // Cut before escaping, or an entity might be cut in two. One character makes five at most.
  return escape(cut(text, Math.floor(maxChars / 5)));
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
