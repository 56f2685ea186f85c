import { describe, expect, test } from "vitest";
import { decodeAlertFile, whatWasTold } from "../../../dashboard/stores/alert-file.ts";
import { decodeChannel } from "../../../dashboard/stores/channels.ts";

const ALERT = "01a20296-cd03-733c-94f9-975efae144fb";

test.each([
  ["firing", "firing"],
  ["firing_3", "firing, again"],
  ["escalation_2", "escalation 2"],
  ["acknowledged", "acknowledged"],
  ["resolved", "resolved"],
  ["4", "bundle 4"],
])("the message …_%s is shown as %j", (end, words) => {
  expect(whatWasTold(`msg_${ALERT}_${end}`)).toBe(words);
});

test("an alert's file says what kept it quiet, what was told to whom, and what has still to be told", () => {
  const at = "2026-11-22T10:00:00.000Z";
  const file = decodeAlertFile({
    id: ALERT,
    kind: "no_data",
    status: "suppressed",
    history: [{ at, kind: "suppressed", by: null, details: ["mute_time"] }],
    deliveries: [{ at, message_id: `msg_${ALERT}_firing`, channel_id: "c", attempt: 1, outcome: "retry", status: 500 }],
    waiting: [{ message_id: `msg_${ALERT}_firing`, channel_id: "c", attempts: 1, next_attempt_at: at }],
  });
  expect(file.alert.isNoData).toBe(true);
  expect(file.history).toMatchObject([{ kind: "suppressed", details: ["mute_time"] }]);
  expect(file.deliveries).toMatchObject([{ messageId: `msg_${ALERT}_firing`, status: 500 }]);
  expect(file.waiting).toMatchObject([{ channelId: "c", attempts: 1, nextMs: Date.parse(at) }]);
});

describe("a channel", () => {
  // As the API answers: durable-objects/alerts/channel-health.ts.
  const state = {
    circuit: "open",
    held_until: "2026-11-22T10:01:00.000Z",
    waiting: 3,
    last_delivered_at: "2026-11-22T09:00:00.000Z",
    last_failed_at: "2026-11-22T10:00:00.000Z",
    last_error: "answered 500",
  };

  test("that rests is shown to rest, with what waits and why", () => {
    const channel = decodeChannel({ id: "c", name: "ops", type: "webhook", config: {}, state });
    expect(channel).toMatchObject({ circuit: "open", waiting: 3, trouble: "answered 500" });
  });

  test("that delivered since it failed has no trouble to show", () => {
    const delivered = { ...state, circuit: "closed", waiting: 0, last_delivered_at: "2026-11-22T10:00:01.000Z" };
    expect(decodeChannel({ id: "c", state: delivered })).toMatchObject({ circuit: "closed", waiting: 0, trouble: "" });
  });
});
