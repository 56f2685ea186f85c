import { expect, test } from "vitest";
import { MAX_OPEN_LISTED } from "../../../core/live/protocol.ts";
import { forgetAlerts, isCrowded, openCount, takeAlerts } from "../../../dashboard/stores/alerts.ts";

const firing = (count: number): object[] =>
  Array.from({ length: count }, (_, k) => ({ id: `a${String(k).padStart(4, "0")}`, status: "firing" }));

test("a list that is full says that there may be more, also after some of it have ended", () => {
  takeAlerts("snapshot", { alerts: firing(MAX_OPEN_LISTED - 1) });
  expect([isCrowded.value, openCount.value]).toEqual([false, `${MAX_OPEN_LISTED - 1}`]);
  takeAlerts("snapshot", { alerts: firing(MAX_OPEN_LISTED) });
  expect([isCrowded.value, openCount.value]).toEqual([true, `${MAX_OPEN_LISTED}+`]);
  takeAlerts("delta", { alerts: [{ id: "a0000", status: "resolved" }] });
  expect([isCrowded.value, openCount.value]).toEqual([true, `${MAX_OPEN_LISTED - 1}+`]);
  takeAlerts("snapshot", { alerts: firing(1) });
  expect([isCrowded.value, openCount.value]).toEqual([false, "1"]);
  forgetAlerts();
});
