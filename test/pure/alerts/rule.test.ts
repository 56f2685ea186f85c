import { describe, expect, test } from "vitest";
import { channelSchema } from "../../../core/alerts/channel.ts";
import { shownUrl } from "../../../core/alerts/channels/webhook.ts";
import { compileCondition } from "../../../core/alerts/condition.ts";
import { MAX_CHANNELS_PER_RULE, MAX_LABELS } from "../../../core/alerts/limits.ts";
import { patienceOf, ruleSchema, settlementOf } from "../../../core/alerts/rule.ts";

const rule = {
  name: "Too many 404s",
  aggregation: "requests_by_status",
  condition: "requests > threshold && group['data.status'] == 404",
  threshold: 100,
  level: "warning" as const,
};
const fieldsOf = (body: unknown): string[] => {
  const parsed = ruleSchema.safeParse(body);
  if (parsed.success) return [];
  return parsed.error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys" ? issue.keys : [issue.path.join(".")],
  );
};

const base64 = (bytes: number): string => Buffer.alloc(bytes, 7).toString("base64");

describe("a rule's fields", () => {
  test("defaults are filled", () => {
    expect(ruleSchema.parse(rule)).toEqual({
      ...rule,
      channels: [],
      labels: {},
      annotations: {},
      notify_resolved: true,
      enabled: true,
    });
  });

  test("for and keep_firing_for are durations", () => {
    const spec = ruleSchema.parse({ ...rule, for: "5m", keep_firing_for: "90s" });
    expect(patienceOf(spec)).toEqual({ forMs: 300_000, keepFiringForMs: 90_000 });
    expect(patienceOf(ruleSchema.parse(rule))).toEqual({ forMs: 0, keepFiringForMs: 0 });
  });

  test.each([
    [{ ...rule, wait: "5m" }, ["wait"]],
    [{ ...rule, for: "5 minutes" }, ["for"]],
    [{ ...rule, for: "401d" }, ["for"]],
    [{ ...rule, keep_firing_for: 60 }, ["keep_firing_for"]],
    [{ ...rule, level: "fatal" }, ["level"]],
    [{ ...rule, name: "  " }, ["name"]],
    [{ ...rule, threshold: "100" }, ["threshold"]],
    [{ ...rule, enabled: "yes" }, ["enabled"]],
    [{ ...rule, channels: ["a", "a"] }, ["channels"]],
    [{ ...rule, channels: Array.from({ length: MAX_CHANNELS_PER_RULE + 1 }, (_, k) => `c${k}`) }, ["channels"]],
    [{ ...rule, labels: { "not a name": "x" } }, ["labels.not a name"]],
    [{ ...rule, labels: { __name: "x" } }, ["labels.__name"]],
    [{ ...rule, labels: { page: 1 } }, ["labels.page"]],
    [
      { ...rule, labels: Object.fromEntries(Array.from({ length: MAX_LABELS + 1 }, (_, k) => [`l${k}`, "x"])) },
      ["labels"],
    ],
    [{}, ["name", "aggregation", "condition", "level"]],
  ])("%#: what is wrong is named", (body, fields) => {
    expect(fieldsOf(body)).toEqual(fields);
  });

  test("a label called __proto__ is refused, not dropped", () => {
    const proto: unknown = JSON.parse('{"__proto__": "x", "team": "web"}');
    expect(fieldsOf({ ...rule, labels: proto })).toEqual(["labels.__proto__"]);
    expect(fieldsOf({ ...rule, annotations: proto })).toEqual(["annotations.__proto__"]);
  });

  test("flapping takes time", () => {
    expect(fieldsOf({ ...rule, flapping: { firings: 2, within: "0s" } })).toEqual(["flapping.within"]);
    expect(fieldsOf({ ...rule, flapping: { firings: 2, within: "1s" } })).toEqual([]);
  });

  test("limits are reached, not crossed", () => {
    const channels = Array.from({ length: MAX_CHANNELS_PER_RULE }, (_, k) => `c${k}`);
    const labels = Object.fromEntries(Array.from({ length: MAX_LABELS }, (_, k) => [`l${k}`, "x"]));
    expect(fieldsOf({ ...rule, channels, labels })).toEqual([]);
  });
});

describe("what a changed rule does to its open alerts", () => {
  const before = ruleSchema.parse({ ...rule, for: "5m", labels: { team: "web" } });

  test.each([
    [{ name: "404s" }, null],
    [{ level: "critical" }, null],
    [{ channels: ["c1"] }, null],
    [{ annotations: { runbook: "x" } }, null],
    [{ for: "300s" }, null],
    [{ threshold: 101 }, "rule_changed"],
    [{ condition: "requests > 5" }, "rule_changed"],
    [{ aggregation: "other" }, "rule_changed"],
    [{ for: "6m" }, "rule_changed"],
    [{ keep_firing_for: "1m" }, "rule_changed"],
    [{ labels: { team: "ops" } }, "rule_changed"],
    [{ enabled: false }, "rule_disabled"],
    [{ enabled: false, threshold: 7 }, "rule_disabled"],
  ])("%j: %s", (change, settlement) => {
    expect(settlementOf(before, ruleSchema.parse({ ...before, ...change }))).toBe(settlement);
  });

  test("a disabled rule has none to settle", () => {
    const disabled = ruleSchema.parse({ ...before, enabled: false });
    expect(settlementOf(disabled, ruleSchema.parse({ ...disabled, description: "x" }))).toBeNull();
  });
});

describe("a condition", () => {
  const input = {
    group: { "data.status": 404, constructor: "x" },
    values: { requests: 213 },
    window: { start: 1_000, end: 2_000 },
    past: (name: string) => ({ previous: { requests: 100 }, "at:7d": { requests: 50 } })[name],
  };

  test.each([
    ["requests > threshold && group['data.status'] >= 400", "pass"],
    ["requests > 2 * previous.requests", "pass"],
    ["requests > 4 * at('7d').requests", "pass"],
    ["requests > at('1d').requests", "error"],
    ["window.end - window.start == 1000", "pass"],
    ["requests > 500", "fail"],
    ["bytes > 1", "error"],
    ["group['data.path'] == null", "pass"],
    ["group.toString == null", "pass"],
  ])("%s: %s", (source, verdict) => {
    const compiled = compileCondition(source, ["requests", "bytes"], 200);
    if (!compiled.ok) throw new Error(compiled.message);
    expect(compiled.condition.verdict(input)).toBe(verdict);
    expect(compiled.condition.explain(input) === "").toBe(verdict !== "error");
  });

  test.each([
    ["requests >", /./, { line: 1 }],
    ["requests > nothing", /nothing/, { line: 1, column: 12 }],
    ["requests > threshold", /threshold/, {}],
    ["requests + 1", /neither true nor false/, {}],
    ["-requests", /neither true nor false/, {}],
    ["5", /neither true nor false/, {}],
    ["[requests]", /neither true nor false/, {}],
    [
      "requests > [1, 2, 3, 4, 5].size() + at('1h').requests + at('2h').requests + at('3h').requests + at('4h').requests + previous.requests",
      /back to more than 4/,
      {},
    ],
  ])("%s is refused", (source, message, place) => {
    const compiled = compileCondition(source, ["requests"], undefined);
    expect(compiled).toMatchObject({ ok: false, message: expect.stringMatching(message), ...place });
  });
});

describe("a channel's fields", () => {
  const channel = { name: "ops", type: "webhook", config: { url: "https://hooks.example.com/x" } };

  test.each([{}, { secret: base64(16) }, { secret: `whsec_${base64(24)}` }, { secret: `whsec_${base64(64)}` }])(
    "%j will do",
    (more) => {
      expect(channelSchema.safeParse({ ...channel, config: { ...channel.config, ...more } }).success).toBe(true);
    },
  );

  test.each([base64(15), base64(65), "whsec_", "not base64 at all!", `${base64(24)}=`, "whsec_abc"])(
    "secret %s will not",
    (secret) => {
      const parsed = channelSchema.safeParse({ ...channel, config: { ...channel.config, secret } });
      expect(parsed.error?.issues[0]?.path).toEqual(["config", "secret"]);
    },
  );

  test("a type that cannot be sent to names those that can", () => {
    expect(channelSchema.safeParse({ ...channel, type: "mail" }).error?.issues[0]?.message).toContain("webhook");
  });

  test("a URL is shown without its path and query", () => {
    expect(shownUrl("https://h.example")).toBe("https://h.example/");
    expect(shownUrl("https://h.example:8443/services/T0/SECRET?token=1#y")).toBe("https://h.example:8443/…");
  });
});
