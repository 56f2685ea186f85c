import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addressOf,
  channelSchema,
  judgeAddress,
  redacted,
  shownConfig,
  targetOf,
} from "../../../core/alerts/channel.ts";
import { emailConfig, renderEmail } from "../../../core/alerts/channels/email.ts";
import { smtpTarget } from "./mail-targets.ts";
import { ALERT_ID, AT, DASHBOARD, notificationOf, testNotification } from "./notifications.ts";

const config = {
  host: "mail.example.com",
  username: "flow",
  password: "sesame-sesame",
  from: "flow@example.com",
  to: "ops@example.com",
};
const target = smtpTarget(emailConfig.parse(config), DASHBOARD);

/** A mail taken apart: headers unfolded, encoded words and body decoded. */
function read(message: string) {
  const [head = "", body = ""] = message.split("\r\n\r\n");
  const lines = head.replaceAll("\r\n ", "").split("\r\n");
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(": ");
      const value = line
        .slice(colon + 2)
        .replaceAll(/=\?utf-8\?B\?([^?]*)\?=/g, (_, word) => Buffer.from(word, "base64").toString());
      return [line.slice(0, colon), value];
    }),
  );
  return { headers, text: Buffer.from(body, "base64").toString() };
}

describe("a mail", () => {
  test("has what mail readers want, and a thread per alert", () => {
    const { message, ...rest } = renderEmail(target, "msg_1_firing", notificationOf("firing"), AT);
    expect(rest).toEqual({
      security: "tls",
      login: { username: "flow", password: "sesame-sesame" },
      clientName: "example.com",
      from: "flow@example.com",
      to: ["ops@example.com"],
    });
    const { headers, text } = read(message);
    expect(headers).toEqual({
      From: "StreamFlow <flow@example.com>",
      To: "ops@example.com",
      Subject: "Firing (error): too many 404s",
      Date: "Sun, 22 Nov 2026 10:01:05 +0000",
      "Message-ID": "<msg_1_firing@example.com>",
      References: `<${ALERT_ID}@example.com>`,
      "Auto-Submitted": "auto-generated",
      "MIME-Version": "1.0",
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Transfer-Encoding": "base64",
    });
    expect(text.split("\r\n")).toEqual([
      "Firing (error): too many 404s",
      "",
      "requests = 213, share = 0.071 for data.status = 404 (requests > threshold, threshold 100)",
      "",
      "Window: 2026-11-22T09:00:00.000Z to 2026-11-22T10:00:00.000Z",
      "data.status: 404",
      "requests: 213",
      "share: 0.071",
      "runbook: https://wiki.example.com/404",
      "",
      `https://flow.example.com/alerts/${ALERT_ID}`,
      "",
    ]);
  });

  test("of a test says so", () => {
    expect(read(renderEmail(target, "msg_t", testNotification(), AT).message)).toMatchObject({
      headers: { Subject: "Test: ops" },
      text: expect.stringContaining("this channel works"),
    });
  });

  test("has no line over 78 characters and no header that an alert made, whatever it says", () => {
    const text = fc.string({
      unit: fc.constantFrom("a", "\r\n", "Bcc: x@example.com", "é", "😀", "\uD800", "."),
      maxLength: 100,
    });
    const names = read(renderEmail(target, "m", notificationOf("firing"), AT).message).headers;
    fc.assert(
      fc.property(text, text, (name, message) => {
        const notification = notificationOf("firing", { rule: { id: "r", name }, message });
        const mail = renderEmail(target, "m", notification, AT).message;
        expect(mail).toMatch(/^[\x20-\x7e\r\n]*$/);
        for (const line of mail.split("\r\n")) expect(line.length).toBeLessThanOrEqual(78);
        const { headers } = read(mail);
        expect(Object.keys(headers)).toEqual(Object.keys(names));
        const subject = `Firing (error): ${name}`.toWellFormed();
        if (subject.length <= 200) expect(headers["Subject"]).toBe(subject);
      }),
    );
  });
});

describe("an email channel", () => {
  test("shows no password, in no form", () => {
    expect(shownConfig(target)).toEqual({
      transport: "smtp",
      host: "mail.example.com",
      port: 465,
      security: "tls",
      username: "flow",
      password_set: true,
      from: "flow@example.com",
      to: "ops@example.com",
      allow_private_targets: false,
    });
    const plain = Buffer.from("\0flow\0sesame-sesame").toString("base64");
    expect(redacted(`500 AUTH PLAIN ${plain}? sesame-sesame`, target)).toBe("500 AUTH PLAIN [secret]? [secret]");
  });

  test.each([
    [{ port: 25 }, "config.port"],
    [{ security: "none" }, "config.security"],
    [{ host: "mail.example.com:25" }, "config.host"],
    [{ password: undefined }, "config.password"],
    [{ password: "a\r\nb" }, "config.password"],
    [{ from: "Flow <flow@example.com>" }, "config.from"],
    [{ to: "a@example.com\r\nBcc: b@example.com" }, "config.to"],
    [{ to: [] }, "config.to"],
    [{ to: Array.from({ length: 11 }, (_, k) => `a${k}@example.com`) }, "config.to"],
    [{ subject: "x" }, "config"],
  ])("with %j is refused", (more, field) => {
    const parsed = channelSchema.safeParse({ name: "ops", type: "email", config: { ...config, ...more } });
    expect(parsed.error?.issues.map(({ path }) => path.join("."))).toEqual([field]);
  });

  test("by the platform's binding needs a sender and readers, and has no secret", () => {
    const bound = { transport: "binding", from: "flow@example.com", to: ["ops@example.com", "boss@example.com"] };
    const spec = channelSchema.parse({ name: "ops", type: "email", config: bound });
    expect(shownConfig(targetOf(spec, DASHBOARD, () => ""))).toEqual({
      transport: "binding",
      from: "flow@example.com",
      to: "ops@example.com, boss@example.com",
    });
    const wrong = channelSchema.safeParse({ name: "a", type: "email", config: { ...bound, host: "mail.example.com" } });
    expect(wrong.error?.issues).toMatchObject([{ code: "unrecognized_keys", keys: ["host"] }]);
    const unknown = channelSchema.safeParse({ name: "a", type: "email", config: { ...bound, transport: "pigeon" } });
    expect(unknown.error?.issues).toMatchObject([
      { path: ["config", "transport"], message: "must be smtp or binding" },
    ]);
  });

  test.each([
    [{ port: 587 }, "starttls"],
    [{ port: 465 }, "tls"],
    [{ port: 2525, security: "tls" }, "tls"],
  ])("with %j is protected by %s", (more, security) => {
    expect(smtpTarget(emailConfig.parse({ ...config, ...more }), DASHBOARD).security).toBe(security);
  });

  test.each(["127.0.0.1", "2130706433", "0x7f.1", "localhost", "mail.internal", "mail"])(
    "at %s goes nowhere",
    (host) => {
      const spec = channelSchema.parse({ name: "ops", type: "email", config: { ...config, host } });
      const made = targetOf(spec, DASHBOARD, () => "");
      expect(judgeAddress(made, new URL(addressOf(made)), true)).not.toBeNull();
    },
  );
});
