// PagerDuty's Events API v2: one incident per alert, opened, acknowledged and resolved under the same key.
// See https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
import { z } from "zod";
import { cut, linkOf, noticeOf, subjectOf } from "../notification.ts";
import type { Notification } from "../notification.ts";
import { apiUrlField } from "./fields.ts";
import type { ChannelRequest } from "./request.ts";

/** PagerDuty cuts or refuses what is longer. */
export const MAX_SUMMARY_CHARS = 1_024;

const ORIGINS = { us: "https://events.pagerduty.com", eu: "https://events.eu.pagerduty.com" } as const;

/** `config` of a PagerDuty channel. */
export const pagerDutyConfig = z.strictObject({
  routing_key: z.string().regex(/^[0-9A-Za-z]{32}$/, "must be the 32 characters of an Events API v2 integration key"),
  region: z.enum(["us", "eu"]).default("us"),
  api_url: apiUrlField,
});

export interface PagerDutyTarget {
  readonly type: "pagerduty";
  readonly routingKey: string;
  readonly region: "us" | "eu";
  /** In local mode only; null is PagerDuty itself. */
  readonly apiUrl: string | null;
  /** Origin of the platform, for links. */
  readonly dashboard: string;
}

export function shownPagerDuty({ region, apiUrl }: PagerDutyTarget): Record<string, string | boolean> {
  return { routing_key_set: true, region, ...(apiUrl === null ? {} : { api_url: apiUrl }) };
}

/** Where events go. */
export function pagerDutyUrl({ apiUrl, region }: PagerDutyTarget): string {
  return `${apiUrl ?? ORIGINS[region]}/v2/enqueue`;
}

/** Renders an event. A test opens an incident of severity `info`, one per channel however often it is sent. */
export function renderPagerDuty(target: PagerDutyTarget, notification: Notification): ChannelRequest {
  return {
    url: pagerDutyUrl(target),
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ routing_key: target.routingKey, ...eventOf(target, notification) }),
  };
}

function eventOf({ dashboard }: PagerDutyTarget, notification: Notification): object {
  const action = actionOf(notification);
  const common = { event_action: action, dedup_key: incidentOf(notification) };
  if (action !== "trigger") return common;
  const href = linkOf(dashboard, notification);
  return {
    ...common,
    payload: payloadOf(notification),
    client: "StreamFlow",
    client_url: href,
    links: [{ href, text: "Alerts in StreamFlow" }],
  };
}

/** A bundle's incident ends with the last of its alerts. */
function actionOf(notification: Notification): "trigger" | "acknowledge" | "resolve" {
  switch (notification.type) {
    case "alert.acknowledged":
      return "acknowledge";
    case "alert.resolved":
      return "resolve";
    case "alert.group":
      return notification.data.status === "resolved" ? "resolve" : "trigger";
    case "alert.firing":
    case "alert.test":
      return "trigger";
  }
}

/** The key under which PagerDuty knows the incident, at most 255 characters. */
function incidentOf(notification: Notification): string {
  if (notification.type === "alert.test") return `streamflow-test-${subjectOf(notification)}`;
  return `streamflow-${subjectOf(notification)}`;
}

function payloadOf(notification: Notification): object {
  const { title, text, level } = noticeOf(notification);
  const common = { source: "streamflow", severity: level, timestamp: notification.timestamp };
  if (notification.type === "alert.test") {
    return { summary: cut(`${title}. ${text} Resolve this incident by hand.`, MAX_SUMMARY_CHARS), ...common };
  }
  if (notification.type === "alert.group") {
    const { rule, counts, firing, resolved } = notification.data;
    const alerts = firing.map(({ message }) => message);
    const details = { rule_id: rule.id, counts, firing: alerts, resolved: resolved.map(({ message }) => message) };
    return {
      summary: cut(title, MAX_SUMMARY_CHARS),
      ...common,
      component: rule.name,
      class: "alert",
      custom_details: details,
    };
  }
  const { alert, rule, values, group, window } = notification.data;
  return {
    summary: cut(alert.message, MAX_SUMMARY_CHARS),
    ...common,
    component: rule.name,
    class: "alert",
    custom_details: {
      alert_id: alert.id,
      rule_id: rule.id,
      group,
      values,
      window,
      labels: alert.labels,
      annotations: alert.annotations,
    },
  };
}
