import { describe, expect, test } from "vitest";
import { lineTranslator } from "../../../cli/ship/line-event.ts";

const LINE = '203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 404 - "-" "-"';

function translate(format: "combined" | "ndjson", ...lines: string[]): unknown[] {
  const toEvent = lineTranslator(format, "shop");
  return lines.map((line) => {
    const event = toEvent(line);
    return event === null ? null : JSON.parse(event);
  });
}

describe("an access log's line as an event", () => {
  test("is a web request from the source given, at the line's time", () => {
    expect(translate("combined", LINE)).toEqual([
      {
        id: expect.stringMatching(/^014d6155-8098-7/),
        type: "web.request",
        source: "shop",
        timestamp: Date.parse("2015-05-17T10:05:03Z"),
        severity: "medium",
        data: {
          client_ip: "203.0.113.7",
          method: "GET",
          path: "/",
          protocol: "HTTP/1.1",
          status: 404,
          bytes: 0,
          referrer: "-",
          user_agent: "-",
        },
      },
    ]);
  });

  test("that repeats gets an id of its own, and the same one when the file is read again", () => {
    const first = translate("combined", LINE, LINE, LINE);
    expect(new Set(first.map((event) => JSON.stringify(event))).size).toBe(3);
    expect(translate("combined", LINE, LINE, LINE)).toEqual(first);
  });
});

describe("an NDJSON line as an event", () => {
  test("keeps what it says and gets what it lacks", () => {
    const [full, bare] = translate(
      "ndjson",
      '{"id":"a-1","type":"order.placed","source":"till","data":{"total":3}}',
      '{"timestamp":"2015-05-17T10:05:03Z","data":{"status":200}}',
    );
    expect(full).toEqual({ id: "a-1", type: "order.placed", source: "till", data: { total: 3 } });
    expect(bare).toMatchObject({ type: "web.request", source: "shop", id: expect.stringMatching(/^014d6155-8098-7/) });
  });

  test("without a time gets an id that claims none", () => {
    expect(translate("ndjson", '{"data":{}}')).toEqual([
      { type: "web.request", source: "shop", data: {}, id: expect.stringMatching(/^[0-9a-f]{32}$/) },
    ]);
  });

  test("that is no JSON object does not parse", () => {
    expect(translate("ndjson", "{", "[]", "1", "null", '"text"')).toEqual([null, null, null, null, null]);
  });
});
