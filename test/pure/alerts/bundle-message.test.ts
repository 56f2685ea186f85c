import { describe, expect, test } from "vitest";
import { renderPagerDuty } from "../../../core/alerts/channels/pagerduty.ts";
import { renderPush } from "../../../core/alerts/channels/push.ts";
import { renderSlack } from "../../../core/alerts/channels/slack.ts";
import { smsText } from "../../../core/alerts/channels/sms.ts";
import { MAX_ALERTS_PER_BUNDLE } from "../../../core/alerts/limits.ts";
import { groupBody, readNotification } from "../../../core/alerts/notification.ts";
import type { Notification } from "../../../core/alerts/notification.ts";
import type { AlertJson } from "../../../core/alerts/alert.ts";
import { alertOf, DASHBOARD } from "./notifications.ts";

const many = (count: number, more: Partial<AlertJson> = {}): AlertJson[] =>
  Array.from({ length: count }, (_, k) => alertOf("firing", { message: `host-${k} <is> down`, ...more }));

function bundle(firing: readonly AlertJson[], resolved: readonly AlertJson[] = []): Notification {
  return readNotification(groupBody({ id: "b-1", groupBy: { team: "web" } }, { firing, resolved }, 0));
}

const pagerDuty = {
  type: "pagerduty" as const,
  routingKey: "k",
  region: "us" as const,
  apiUrl: null,
  dashboard: DASHBOARD,
};

describe("a bundle's message", () => {
  test("counts all and lists some", () => {
    expect(bundle(many(MAX_ALERTS_PER_BUNDLE + 20), many(5))).toMatchObject({
      type: "alert.group",
      data: {
        id: "b-1",
        status: "firing",
        rule: { id: "rule-1" },
        group: { team: "web" },
        counts: { firing: MAX_ALERTS_PER_BUNDLE + 20, resolved: 5 },
        firing: { length: MAX_ALERTS_PER_BUNDLE },
        resolved: [],
      },
    });
  });

  test("is as grave as its gravest alert that fires", () => {
    const mixed = [...many(2, { level: "warning" }), ...many(1, { level: "critical" })];
    expect(bundle(mixed)).toMatchObject({ data: { level: "critical" } });
    expect(bundle(many(1, { level: "info" }), many(1, { level: "critical" }))).toMatchObject({
      data: { level: "info" },
    });
  });

  test("in Slack: one line each, escaped, and a link to all alerts", () => {
    const slack = {
      type: "slack" as const,
      url: "https://hooks.slack.com/x",
      allowPrivateTargets: false,
      dashboard: DASHBOARD,
    };
    const { body } = renderSlack(slack, bundle(many(2), many(1)));
    const text = String(body);
    expect(text).toContain("Firing (error): too many 404s, 2 alerts, team = web");
    expect(text).toContain("Resolved: host-0 &lt;is&gt; down");
    expect(text).toContain(`<${DASHBOARD}/alerts|Open in StreamFlow>`);
  });

  test("in PagerDuty: one incident, which ends with the last alert", () => {
    const events = [bundle(many(2)), bundle(many(1), many(1)), bundle([], many(1))].map((notification) => {
      const { event_action: action, dedup_key: key } = JSON.parse(
        String(renderPagerDuty(pagerDuty, notification).body),
      );
      return [action, key];
    });
    expect(events).toEqual([
      ["trigger", "streamflow-b-1"],
      ["trigger", "streamflow-b-1"],
      ["resolve", "streamflow-b-1"],
    ]);
  });

  test("by push and by SMS: what fits", () => {
    const { headers, payload } = renderPush({ dashboard: DASHBOARD }, bundle(many(40)));
    expect(headers["urgency"]).toBe("high");
    expect(new TextEncoder().encode(payload).length).toBeLessThan(3_993);
    expect(smsText(bundle(many(40)), DASHBOARD).length).toBeLessThanOrEqual(160);
    expect(renderPush({ dashboard: DASHBOARD }, bundle([], many(1))).headers["urgency"]).toBe("normal");
  });
});
