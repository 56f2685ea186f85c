import { expect, test } from "vitest";
import { toEventJson } from "../../../core/events/json.ts";

test("an event is answered with RFC 3339 times and without what is internal", () => {
  const event = {
    id: "e1",
    type: "web.request",
    source: "web",
    timestamp: 1_700_000_000_123,
    receivedAt: 1_700_000_000_500,
    severity: "medium",
    data: { a: null },
    metadata: {},
    user_id: "u",
    timestampAssigned: true,
  } as const;
  expect(JSON.stringify(toEventJson(event))).toBe(
    '{"id":"e1","type":"web.request","source":"web","timestamp":"2023-11-14T22:13:20.123Z","received_at":"2023-11-14T22:13:20.500Z",' +
      '"severity":"medium","data":{"a":null},"metadata":{},"user_id":"u"}',
  );
});
