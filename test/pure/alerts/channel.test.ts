import { describe, expect, test } from "vitest";
import {
  addressOf,
  channelSchema,
  judgeAddress,
  redacted,
  shownConfig,
  targetOf,
  wantsPrivate,
} from "../../../core/alerts/channel.ts";
import type { DraftTarget } from "../../../core/alerts/channel.ts";

const KEY = "0123456789abcdef0123456789abcdef";
const SID = `AC${KEY}`;
const SLACK = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX";
const P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH = "BTBZMqHH6r4Tts7J_aSIgg";
const ENDPOINT = "https://push.example.net/send/abcdefghijklmnopqrstuvwxyz";
const configs = {
  slack: { url: SLACK },
  pagerduty: { routing_key: KEY },
  sms: { account_sid: SID, auth_token: KEY, from: "+14155552671", to: "+442071838750" },
  push: { endpoint: ENDPOINT, keys: { p256dh: P256DH, auth: AUTH } },
};

function target(type: keyof typeof configs, more: object = {}, dashboard = "https://flow.example.com"): DraftTarget {
  const spec = channelSchema.parse({ name: "ops", type, config: { ...configs[type], ...more } });
  return targetOf(spec, dashboard, () => "");
}

function refusal(made: DraftTarget, isLocal: boolean): string | null {
  return judgeAddress(made, new URL(addressOf(made)), isLocal);
}

describe("what is shown of a channel", () => {
  test.each([
    [target("slack"), { url: "https://hooks.slack.com/…", allow_private_targets: false }],
    [target("pagerduty", { region: "eu" }), { routing_key_set: true, region: "eu" }],
    [target("sms"), { account_sid: SID, auth_token_set: true, from: "+14155552671", to: "+442071838750" }],
    [target("push"), { endpoint: "https://push.example.net/…", keys_set: true, allow_private_targets: false }],
  ])("$type: no secret", (made, shown) => {
    expect(shownConfig(made)).toEqual(shown);
  });
});

describe("a configuration", () => {
  test.each([
    ["slack", { url: "" }, "config.url"],
    ["slack", { channel: "#ops" }, "config"],
    ["pagerduty", { routing_key: "short" }, "config.routing_key"],
    ["pagerduty", { region: "mars" }, "config.region"],
    ["pagerduty", { api_url: "https://a.example/with/path" }, "config.api_url"],
    ["sms", { account_sid: "AC1" }, "config.account_sid"],
    ["sms", { account_sid: `${SID}/../x` }, "config.account_sid"],
    ["sms", { auth_token: "with space and\nline" }, "config.auth_token"],
    ["sms", { to: "0123" }, "config.to"],
    ["sms", { from: "much too long a name" }, "config.from"],
    ["sms", { messaging_service_sid: `MG${KEY}` }, "config.from"],
    ["sms", { from: undefined }, "config.from"],
    ["push", { keys: { p256dh: "short", auth: AUTH } }, "config.keys.p256dh"],
    ["push", { keys: { p256dh: P256DH, auth: "x" } }, "config.keys.auth"],
    ["push", { subject: "me" }, "config.subject"],
  ] as const)("of %s with %j is refused", (type, more, field) => {
    const parsed = channelSchema.safeParse({ name: "ops", type, config: { ...configs[type], ...more } });
    expect(parsed.error?.issues.map(({ path }) => path.join("."))).toEqual([field]);
  });

  test.each(["mail", "pigeon", 7, undefined])("a type %j names those there are", (type) => {
    const parsed = channelSchema.safeParse({ name: "ops", type, config: {} });
    expect(parsed.error?.issues).toMatchObject([
      {
        path: ["type"],
        message: "is not supported: this version sends to webhook, slack, pagerduty, sms, push, email",
      },
    ]);
  });

  test("push without a subject has the platform's address, if it is a public one", () => {
    expect(target("push")).toMatchObject({ subject: "https://flow.example.com" });
    expect(target("push", {}, "http://localhost:8787")).toMatchObject({ subject: null });
    expect(target("push", { subject: "mailto:ops@example.com" })).toMatchObject({ subject: "mailto:ops@example.com" });
  });
});

describe("addresses", () => {
  test.each(["slack", "pagerduty", "sms", "push"] as const)("%s at its own is called everywhere", (type) => {
    expect([refusal(target(type), true), refusal(target(type), false)]).toEqual([null, null]);
    expect(wantsPrivate(target(type))).toBe(false);
  });

  test.each([
    ["slack", { url: "https://hooks.slack.com.evil.example/services/x" }, "hooks.slack.com"],
    ["slack", { url: "https://example.com/services/x" }, "hooks.slack.com"],
    ["slack", { url: "http://hooks.slack.com/services/x" }, "https"],
    ["push", { endpoint: "https://127.0.0.1/x" }, "IP address"],
    ["push", { endpoint: "https://user@push.example.net/x" }, "user name"],
  ] as const)("%s at %j is called nowhere", (type, more, message) => {
    expect(refusal(target(type, more), true)).toContain(message);
    expect(refusal(target(type, more), false)).toContain(message);
  });

  test.each([
    ["slack", { url: "http://127.0.0.1:9/x", allow_private_targets: true }],
    ["slack", { url: "https://example.com/x", allow_private_targets: true }],
    ["push", { endpoint: "http://127.0.0.1:9/x", allow_private_targets: true }],
    ["pagerduty", { api_url: "http://127.0.0.1:9" }],
    ["pagerduty", { api_url: "https://events.example.com" }],
    ["sms", { api_url: "http://127.0.0.1:9" }],
    ["sms", { api_url: "https://twilio.example.com" }],
  ] as const)("%s at %j is called in local mode only", (type, more) => {
    const made = target(type, more);
    expect(wantsPrivate(made)).toBe(true);
    expect(refusal(made, true)).toBeNull();
    // A push service may be any public host; the flag alone does not make it a private one.
    expect(refusal(made, false)).not.toBeNull();
  });
});

describe("what a receiver answers is shown without secrets", () => {
  const vapid = { publicKey: "public", privateKey: "a-private-key-of-the-tenant" };

  test.each([
    [target("slack"), SLACK],
    [target("slack"), "bad token XXXXXXXXXXXXXXXXXXXXXXXX"],
    [target("pagerduty"), `{"routing_key":"${KEY}"}`],
    [target("sms"), `password was ${KEY}`],
    [target("push"), `${ENDPOINT} ${AUTH} ${vapid.privateKey}`],
  ])("$type", (made, answer) => {
    const shown = redacted(answer, made.type === "push" ? { ...made, vapid } : made);
    expect(shown).toContain("[secret]");
    for (const secret of ["XXXXXXXXXX", KEY, "abcdefghij", AUTH, vapid.privateKey]) expect(shown).not.toContain(secret);
  });
});
