import fc from "fast-check";
import { expect, test } from "vitest";
import { alertMessage } from "../../../core/alerts/alert.ts";
import { afterAcknowledgement, afterEnding, afterTransition } from "../../../core/alerts/alert-life.ts";
import { groupKey } from "../../../core/alerts/group.ts";
import { packInstances, packPages, shownValues, unpackInstances } from "../../../core/alerts/instance.ts";
import type { Instance } from "../../../core/alerts/instance.ts";
import { MAX_SHOWN_VALUES_CHARS } from "../../../core/alerts/limits.ts";
import { notificationBody } from "../../../core/alerts/notification.ts";
import { ruleSchema } from "../../../core/alerts/rule.ts";
import { alertJson } from "../../../core/alerts/alert.ts";

const instance: Instance = {
  alertId: "0193-a",
  group: { "data.status": 404 },
  timer: { phase: "firing", since: 60_000, falseSince: null },
  window: { start: 0, end: 60_000 },
  revision: 0,
  values: { requests: 213 },
};
const rule = {
  ...ruleSchema.parse({
    name: "Too many 404s",
    aggregation: "a",
    condition: "requests > threshold",
    threshold: 100,
    level: "error",
    channels: ["c1"],
    labels: { team: "web" },
    annotations: { runbook: "https://wiki.example/404" },
  }),
  id: "r1",
};

test("what is packed is unpacked, whatever the groups and however small the pages", () => {
  const groups = fc.uniqueArray(
    fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }),
    {
      selector: (group) => groupKey(JSON.parse(JSON.stringify(group))),
      maxLength: 30,
    },
  );
  fc.assert(
    fc.property(groups, fc.integer({ min: 10, max: 2_000 }), (list, pageChars) => {
      const instances = new Map(
        list.map((group, k) => {
          const json = JSON.parse(JSON.stringify(group));
          return [groupKey(json), { ...instance, alertId: `id-${k}`, group: json }] as const;
        }),
      );
      const pages = packInstances(instances, pageChars);
      expect(unpackInstances(pages)).toEqual(instances);
    }),
  );
});

test("a page is longer than its limit only when one item is", () => {
  expect(packPages(["aaaa", "bb", "cc"], 14)).toEqual(['["aaaa","bb"]', '["cc"]']);
  expect(packPages(["a".repeat(50), "b"], 14)).toEqual([`["${"a".repeat(50)}"]`, '["b"]']);
  expect(packPages([])).toEqual([]);
});

test("values that would be too long to show are left out, the others stay", () => {
  const top = Array.from({ length: 500 }, (_, k) => [`/path/${k}`, k]);
  expect(shownValues({ requests: 1, top, bytes: 2 })).toEqual({ requests: 1, bytes: 2 });
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, k) => [`measure_number_${k}`, 123_456_789]));
  expect(JSON.stringify(shownValues(many)).length).toBeLessThanOrEqual(MAX_SHOWN_VALUES_CHARS);
});

test("a group's key does not depend on the order of its paths, and tells types apart", () => {
  expect(groupKey({ a: 1, b: "x" })).toBe(groupKey({ b: "x", a: 1 }));
  expect(groupKey({ a: 1 })).not.toBe(groupKey({ a: "1" }));
  expect(groupKey({ a: null })).not.toBe(groupKey({}));
});

test("an alert says in one line what was seen, where, and what was asked for", () => {
  expect(alertMessage(rule, instance)).toBe(
    "Too many 404s: requests = 213 for data.status = 404 (requests > threshold, threshold 100)",
  );
  expect(alertMessage({ ...rule, threshold: undefined }, { group: {}, values: {} })).toBe(
    "Too many 404s: condition met (requests > threshold)",
  );
});

test("an alert's life is written down: who, when, why and what was seen", () => {
  const fire = { kind: "firing" as const, reason: null, instance, window: instance.window, values: instance.values };
  const fired = afterTransition(null, fire, rule, 1_000);
  expect(fired.record).toMatchObject({
    status: "firing",
    startedAt: 1_000,
    firedAt: 1_000,
    level: "error",
    channels: ["c1"],
  });
  const seen = afterAcknowledgement(fired.record, { by: "ada", comment: "on it" }, 2_000);
  expect(seen.record).toMatchObject({ status: "acknowledged", acknowledgedBy: "ada", acknowledgedAt: 2_000 });
  const ended = afterTransition(seen.record, { ...fire, kind: "resolved", reason: "no_data", values: {} }, rule, 3_000);
  expect(ended.record).toMatchObject({
    status: "resolved",
    resolvedAt: 3_000,
    endReason: "no_data",
    acknowledgedBy: "ada",
    values: { requests: 213 },
  });
  expect([fired, seen, ended].map(({ entry }) => [entry.at, entry.kind, entry.by, entry.reason])).toEqual([
    [1_000, "firing", null, null],
    [2_000, "acknowledged", "ada", null],
    [3_000, "resolved", null, "no_data"],
  ]);
  expect(afterEnding(fired.record, "rule_deleted", { by: null, comment: null }, 4_000).record).toMatchObject({
    status: "resolved",
    endReason: "rule_deleted",
  });
});

test("a webhook's body has the shape of the contract", () => {
  const fire = { kind: "firing" as const, reason: null, instance, window: instance.window, values: instance.values };
  const alert = alertJson(afterTransition(null, fire, rule, 1_000).record);
  const body: unknown = JSON.parse(
    notificationBody("firing", 1_000, { alert, window: instance.window, values: instance.values }),
  );
  expect(body).toEqual({
    type: "alert.firing",
    timestamp: "1970-01-01T00:00:01.000Z",
    data: {
      alert: {
        id: "0193-a",
        kind: "condition",
        level: "error",
        status: "firing",
        values: { requests: 213 },
        window: { start: "1970-01-01T00:00:00.000Z", end: "1970-01-01T00:01:00.000Z" },
        started_at: "1970-01-01T00:00:01.000Z",
        fired_at: "1970-01-01T00:00:01.000Z",
        resolved_at: null,
        reason: null,
        acknowledged_by: null,
        muted_by: [],
        notified_at: null,
        escalation_step: 0,
        flapping: false,
        labels: { team: "web" },
        annotations: { runbook: "https://wiki.example/404" },
        message: "Too many 404s: requests = 213 for data.status = 404 (requests > threshold, threshold 100)",
      },
      rule: { id: "r1", name: "Too many 404s" },
      values: { requests: 213 },
      group: { "data.status": 404 },
      window: { start: "1970-01-01T00:00:00.000Z", end: "1970-01-01T00:01:00.000Z" },
    },
  });
});
