import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_SUMMARY_CHARS, pagerDutyUrl, renderPagerDuty } from "../../../core/alerts/channels/pagerduty.ts";
import type { PagerDutyTarget } from "../../../core/alerts/channels/pagerduty.ts";
import { renderPush } from "../../../core/alerts/channels/push.ts";
import { MAX_HEADER_CHARS, MAX_SECTION_CHARS, renderSlack } from "../../../core/alerts/channels/slack.ts";
import type { SlackTarget } from "../../../core/alerts/channels/slack.ts";
import { renderSms, smsText } from "../../../core/alerts/channels/sms.ts";
import type { SmsTarget } from "../../../core/alerts/channels/sms.ts";
import type { ChannelRequest } from "../../../core/alerts/channels/request.ts";
import { ALERT_ID, DASHBOARD, notificationOf, testNotification } from "./notifications.ts";

const slack: SlackTarget = {
  type: "slack",
  url: "https://hooks.slack.com/services/T0/B0/x",
  allowPrivateTargets: false,
  dashboard: DASHBOARD,
};
const pagerDuty: PagerDutyTarget = {
  type: "pagerduty",
  routingKey: "0123456789abcdef0123456789abcdef",
  region: "us",
  apiUrl: null,
  dashboard: DASHBOARD,
};
const sms: SmsTarget = {
  type: "sms",
  accountSid: "AC0123456789abcdef0123456789abcdef",
  authToken: "fedcba9876543210fedcba9876543210",
  sender: { From: "+14155552671" },
  to: "+442071838750",
  apiUrl: null,
  dashboard: DASHBOARD,
};

function json({ body }: ChannelRequest): Record<string, never> {
  return JSON.parse(String(body));
}

describe("Slack", () => {
  test("gets blocks, a text for where blocks are not shown, and a link", () => {
    const request = renderSlack(slack, notificationOf("firing"));
    expect(request.url).toBe(slack.url);
    expect(request.headers["content-type"]).toContain("application/json");
    const message = "requests = 213, share = 0.071 for data.status = 404 (requests &gt; threshold, threshold 100)";
    expect(json(request)).toEqual({
      text: `Firing (error): too many 404s: ${message}`,
      blocks: [
        {
          type: "header",
          text: { type: "plain_text", text: ":rotating_light: Firing (error): too many 404s", emoji: true },
        },
        { type: "section", text: { type: "mrkdwn", text: message } },
        {
          type: "section",
          fields: [
            { type: "mrkdwn", text: "*Window*\n2026-11-22T09:00:00.000Z – 2026-11-22T10:00:00.000Z" },
            { type: "mrkdwn", text: "*data.status*\n404" },
            { type: "mrkdwn", text: "*requests*\n213" },
            { type: "mrkdwn", text: "*share*\n0.071" },
          ],
        },
        {
          type: "context",
          elements: [{ type: "mrkdwn", text: `<https://flow.example.com/alerts/${ALERT_ID}|Open in StreamFlow>` }],
        },
      ],
      unfurl_links: false,
    });
  });

  test.each([
    [notificationOf("resolved"), ":white_check_mark: Resolved (error): too many 404s"],
    [notificationOf("acknowledged"), ":eyes: Acknowledged (error): too many 404s"],
    [testNotification(), ":wrench: Test: ops"],
  ])("hears of what happened: $type", (notification, header) => {
    expect(json(renderSlack(slack, notification))).toHaveProperty("blocks.0.text.text", header);
  });

  test("nothing in an alert can mention a channel or make a link", () => {
    const nasty = "<!channel> <https://evil.example|click> & co";
    const { body } = renderSlack(slack, notificationOf("firing", { message: nasty, group: { "<!here>": nasty } }));
    const rest = String(body).replace(`<https://flow.example.com/alerts/${ALERT_ID}|Open in StreamFlow>`, "");
    expect(rest).not.toMatch(/[<>]/);
    expect(rest).toContain("&lt;!channel&gt; &lt;https://evil.example|click&gt; &amp; co");
  });

  test("gets no message that is longer than it takes, whatever the alert says", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "<", "&", "😀", "é"), minLength: 0, maxLength: 5_000 });
    const values = fc.dictionary(fc.string({ maxLength: 300 }), fc.oneof(fc.double(), text), { maxKeys: 20 });
    fc.assert(
      fc.property(text, text, values, (name, message, shown) => {
        const notification = notificationOf("firing", {
          rule: { id: "r", name },
          message,
          values: JSON.parse(JSON.stringify(shown)),
        });
        const { text: fallback, blocks } = JSON.parse(String(renderSlack(slack, notification).body));
        expect(fallback.length).toBeLessThanOrEqual(MAX_SECTION_CHARS);
        for (const block of blocks) {
          expect(block.text?.text.length ?? 0).toBeLessThanOrEqual(
            block.type === "header" ? MAX_HEADER_CHARS : MAX_SECTION_CHARS,
          );
          expect(block.fields?.length ?? 0).toBeLessThanOrEqual(10);
          for (const field of block.fields ?? []) expect(field.text.length).toBeLessThanOrEqual(2_000);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("PagerDuty", () => {
  test("opens an incident under the alert's key", () => {
    const request = renderPagerDuty(pagerDuty, notificationOf("firing"));
    expect(request.url).toBe("https://events.pagerduty.com/v2/enqueue");
    expect(json(request)).toEqual({
      routing_key: pagerDuty.routingKey,
      event_action: "trigger",
      dedup_key: `streamflow-${ALERT_ID}`,
      payload: {
        summary:
          "too many 404s: requests = 213, share = 0.071 for data.status = 404 (requests > threshold, threshold 100)",
        source: "streamflow",
        severity: "error",
        timestamp: "2026-11-22T10:01:05.000Z",
        component: "too many 404s",
        class: "alert",
        custom_details: {
          alert_id: ALERT_ID,
          rule_id: "rule-1",
          group: { "data.status": 404 },
          values: { requests: 213, share: 0.071 },
          window: { start: "2026-11-22T09:00:00.000Z", end: "2026-11-22T10:00:00.000Z" },
          labels: { team: "web" },
          annotations: { runbook: "https://wiki.example.com/404" },
        },
      },
      client: "StreamFlow",
      client_url: `https://flow.example.com/alerts/${ALERT_ID}`,
      links: [{ href: `https://flow.example.com/alerts/${ALERT_ID}`, text: "Alerts in StreamFlow" }],
    });
  });

  test.each([
    ["acknowledged" as const, "acknowledge"],
    ["resolved" as const, "resolve"],
  ])("the same key serves when it is %s", (kind, action) => {
    expect(json(renderPagerDuty(pagerDuty, notificationOf(kind)))).toEqual({
      routing_key: pagerDuty.routingKey,
      event_action: action,
      dedup_key: `streamflow-${ALERT_ID}`,
    });
  });

  test("tests of a channel are one incident, of the lowest severity", () => {
    expect(json(renderPagerDuty(pagerDuty, testNotification()))).toMatchObject({
      event_action: "trigger",
      dedup_key: "streamflow-test-chan-1",
      payload: { severity: "info", source: "streamflow", summary: expect.stringContaining("Resolve this incident") },
    });
  });

  test.each(["info", "warning", "error", "critical"] as const)("a level %s is a severity of that name", (level) => {
    expect(json(renderPagerDuty(pagerDuty, notificationOf("firing", { level })))).toMatchObject({
      payload: { severity: level },
    });
  });

  test("a summary is cut to what it takes, not through a character", () => {
    const message = `${"x".repeat(MAX_SUMMARY_CHARS - 2)}😀😀`;
    const { payload } = JSON.parse(String(renderPagerDuty(pagerDuty, notificationOf("firing", { message })).body));
    expect(payload.summary).toBe(`${"x".repeat(MAX_SUMMARY_CHARS - 2)}…`);
  });

  test("Europe and tests have addresses of their own", () => {
    expect(pagerDutyUrl({ ...pagerDuty, region: "eu" })).toBe("https://events.eu.pagerduty.com/v2/enqueue");
    expect(pagerDutyUrl({ ...pagerDuty, apiUrl: "http://127.0.0.1:9" })).toBe("http://127.0.0.1:9/v2/enqueue");
  });
});

describe("SMS", () => {
  test("is a form for Twilio, with its credentials apart", () => {
    const request = renderSms(sms, notificationOf("firing"));
    expect(request.url).toBe(
      "https://api.twilio.com/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json",
    );
    expect(request.headers["content-type"]).toBe("application/x-www-form-urlencoded");
    expect(request.credentials).toEqual({ user: sms.accountSid, password: sms.authToken });
    expect(Object.fromEntries(new URLSearchParams(String(request.body)))).toEqual({
      To: "+442071838750",
      From: "+14155552671",
      Body: "Firing (error): too many 404s: requests = 213, share = 0.071 for data.status = 404 (requests > threshold, threshold 100) https://flow.example.com/alerts",
    });
  });

  test("a messaging service chooses the number", () => {
    const sender = { MessagingServiceSid: "MG0123456789abcdef0123456789abcdef" };
    const form = new URLSearchParams(String(renderSms({ ...sms, sender }, testNotification()).body));
    expect([form.get("MessagingServiceSid"), form.get("From")]).toEqual([sender.MessagingServiceSid, null]);
  });

  test.each([
    ["short: with the link", "busy: a = 1", "Firing (error): busy: a = 1 https://flow.example.com/alerts"],
    ["just fits: without it", `busy: ${"x".repeat(138)}`, `Firing (error): busy: ${"x".repeat(138)}`],
    ["too long", `busy: ${"x".repeat(139)}`, `Firing (error): busy: ${"x".repeat(135)}...`],
    ["characters that count twice", `busy: ${"[".repeat(100)}`, `Firing (error): busy: ${"[".repeat(67)}...`],
    ["another script fits 70", `busy: ${"ж".repeat(49)}`, `Firing (error): busy: ${"ж".repeat(47)}…`],
  ])("%s", (_, message, expected) => {
    const text = smsText(notificationOf("firing", { rule: { id: "r", name: "busy" }, message }), DASHBOARD);
    expect(text).toBe(expected);
  });

  test("is one segment, whatever the alert says", () => {
    const gsm = fc.constantFrom("a", "Z", "[", "€", "\n", "é", "=", "\\");
    const other = fc.constantFrom("a", "ж", "😀", "`", "[");
    const text = fc.oneof(fc.string({ unit: gsm, maxLength: 300 }), fc.string({ unit: other, maxLength: 300 }));
    fc.assert(
      fc.property(text, text, (name, message) => {
        const sent = smsText(notificationOf("firing", { rule: { id: "r", name }, message }), DASHBOARD);
        const doubled = [...sent].filter((letter) => "[]{}^~|\\€".includes(letter)).length;
        const isGsm = !/[ж😀`…]/u.test(sent);
        expect(isGsm ? sent.length + doubled : sent.length).toBeLessThanOrEqual(isGsm ? 160 : 70);
        expect(sent.isWellFormed()).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe("a push message", () => {
  test("carries what a service worker shows, and how urgent it is", () => {
    const { headers, payload } = renderPush({ dashboard: DASHBOARD }, notificationOf("firing"));
    expect(headers).toEqual({ ttl: "3600", urgency: "high", topic: "019aa8f012347abc8def0123456789ab" });
    expect(JSON.parse(payload)).toEqual({
      type: "alert.firing",
      title: "Firing (error): too many 404s",
      body: "requests = 213, share = 0.071 for data.status = 404 (requests > threshold, threshold 100)",
      tag: ALERT_ID,
      url: `https://flow.example.com/alerts/${ALERT_ID}`,
    });
  });

  test.each([
    [notificationOf("resolved"), "normal"],
    [notificationOf("firing", { level: "info" }), "normal"],
    [notificationOf("firing", { level: "critical" }), "high"],
  ])("$type of an alert: %s", (notification, urgency) => {
    expect(renderPush({ dashboard: DASHBOARD }, notification).headers["urgency"]).toBe(urgency);
  });

  test("fits into what push services take, whatever the alert says", () => {
    const text = fc.string({ unit: fc.constantFrom("\u0000", "\uD800", "字", '"', "😀", "\\"), maxLength: 2_000 });
    fc.assert(
      fc.property(text, text, (name, message) => {
        const { payload } = renderPush(
          { dashboard: DASHBOARD },
          notificationOf("firing", { rule: { id: "r", name }, message }),
        );
        expect(new TextEncoder().encode(payload).length).toBeLessThanOrEqual(3_993);
      }),
      { numRuns: 200 },
    );
  });
});
