import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { changedSettings, DEFAULT_FLOW_SETTINGS } from "../../../core/flow/settings.ts";

const change = (body: unknown) => changedSettings(DEFAULT_FLOW_SETTINGS, body);

describe("flow settings", () => {
  test("what is left out stays as it is", () => {
    expect(change({})).toEqual(DEFAULT_FLOW_SETTINGS);
    expect(change({ algorithm: "bbr", quota: { burst: 7 } })).toEqual({
      algorithm: "bbr",
      quota: { ...DEFAULT_FLOW_SETTINGS.quota, burst: 7 },
      weight: 1,
    });
  });

  test.each([
    [[], "", "must be a JSON object"],
    [{ algorithm: "vegas" }, "algorithm", "must be one of aimd, cubic, bbr, adaptive"],
    [{ algorithm: null }, "algorithm", "must be one of aimd, cubic, bbr, adaptive"],
    [{ quota: 5 }, "quota", "must be an object"],
    [{ quota: { events_per_second: 0 } }, "quota.events_per_second", "must be a number from 1 to 10000000"],
    [{ quota: { burst: "many" } }, "quota.burst", "must be a number from 1 to 100000000"],
    [
      { quota: { bytes_per_second: Number.NaN } },
      "quota.bytes_per_second",
      "must be a number from 1000 to 10000000000",
    ],
    [{ weight: -1 }, "weight", "must be a number from 0.01 to 1000"],
    [{ quotas: {} }, "quotas", "is not known"],
    [{ quota: { events: 5 } }, "quota.events", "is not known"],
  ])("%j is refused by name", (body, field, reason) => {
    expect(change(body)).toEqual({ field, reason });
  });

  test("any JSON gives settings within the bounds or a reason", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        const result = change(body);
        if ("reason" in result) expect(result.reason.length).toBeGreaterThan(0);
        else expect(result.quota.events_per_second).toBeGreaterThanOrEqual(1);
      }),
    );
  });
});
