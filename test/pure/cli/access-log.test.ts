import { describe, expect, test } from "vitest";
import { parseAccessLine, parseLogTime } from "../../../cli/ship/access-log.ts";

const COMMON = '203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 203023';
const COMBINED = `${COMMON} "http://example.com/" "Mozilla/5.0 (X11)"`;

function withRequest(request: string): string {
  return COMBINED.replace('"GET /a?b=c HTTP/1.1"', `"${request}"`);
}

describe("a line of an access log", () => {
  test("in combined format gives time, client, request, answer, referrer and user agent", () => {
    expect(parseAccessLine(COMBINED, "combined")).toEqual({
      timestamp: Date.parse("2015-05-17T10:05:03Z"),
      data: {
        client_ip: "203.0.113.7",
        method: "GET",
        path: "/a?b=c",
        protocol: "HTTP/1.1",
        status: 200,
        bytes: 203023,
        referrer: "http://example.com/",
        user_agent: "Mozilla/5.0 (X11)",
      },
      severity: "low",
    });
  });

  test("in common format has neither referrer nor user agent", () => {
    const data = parseAccessLine(COMMON, "common")?.data;
    expect(data).toMatchObject({ path: "/a?b=c", bytes: 203023 });
    expect(data).not.toHaveProperty("referrer");
    expect(data).not.toHaveProperty("user_agent");
  });

  test("belongs to one format only", () => {
    expect(parseAccessLine(COMMON, "combined")).toBeNull();
    expect(parseAccessLine(COMBINED, "common")).toBeNull();
  });

  test("counts no bytes where the log says -", () => {
    expect(parseAccessLine(COMBINED.replace(" 203023 ", " - "), "combined")?.data.bytes).toBe(0);
  });

  test.each([
    [200, "low"],
    [304, "low"],
    [399, "low"],
    [400, "medium"],
    [499, "medium"],
    [500, "high"],
    [599, "high"],
  ])("with status %i is %s", (status, severity) => {
    expect(parseAccessLine(COMBINED.replace(" 200 ", ` ${status} `), "combined")?.severity).toBe(severity);
  });

  test("keeps escaped quotes inside a quoted field", () => {
    const line = COMBINED.replace("Mozilla/5.0 (X11)", String.raw`say \"hello\" \\`);
    expect(parseAccessLine(line, "combined")?.data.user_agent).toBe(String.raw`say \"hello\" \\`);
  });

  test("whose request is no HTTP request has no method, and the text as its path", () => {
    const noise = String.raw`\x16\x03\x01`;
    expect(parseAccessLine(withRequest(noise), "combined")?.data).toMatchObject({
      method: null,
      path: noise,
      protocol: null,
    });
    expect(parseAccessLine(withRequest("-"), "combined")?.data).toMatchObject({
      method: null,
      path: "-",
      protocol: null,
    });
  });

  test("of HTTP/0.9 has no protocol", () => {
    expect(parseAccessLine(withRequest("GET /old"), "combined")?.data).toMatchObject({
      method: "GET",
      path: "/old",
      protocol: null,
    });
  });

  test("keeps a path with spaces whole", () => {
    const data = parseAccessLine(withRequest("GET /a b c HTTP/1.1"), "combined")?.data;
    expect(data).toMatchObject({ method: "GET", path: "/a b c", protocol: "HTTP/1.1" });
  });

  test("takes IPv6 clients and user names, with spaces in quotes too", () => {
    const line = COMBINED.replace("203.0.113.7 - -", '2001:db8::7 - "jane doe"');
    expect(parseAccessLine(line, "combined")?.data.client_ip).toBe("2001:db8::7");
  });

  test("cut off in the middle does not parse", () => {
    for (let length = 0; length < COMBINED.length; length++) {
      expect(parseAccessLine(COMBINED.slice(0, length), "combined"), `${length} characters`).toBeNull();
    }
  });

  test("that never closes its quotes is refused in linear time", () => {
    const line = `${COMMON} "${'\\"'.repeat(200_000)}`;
    expect(parseAccessLine(line, "combined")).toBeNull();
  });
});

describe("the time of a log line", () => {
  test.each([
    ["17/May/2015:10:05:03 +0000", "2015-05-17T10:05:03Z"],
    ["29/Feb/2024:23:59:59 +0530", "2024-02-29T18:29:59Z"],
    ["01/Jan/2026:00:30:00 -0800", "2026-01-01T08:30:00Z"],
  ])("%s is %s", (text, expected) => {
    expect(parseLogTime(text)).toBe(Date.parse(expected));
  });

  test.each([
    "29/Feb/2023:00:00:00 +0000",
    "00/Jan/2023:00:00:00 +0000",
    "31/Apr/2023:00:00:00 +0000",
    "01/Foo/2023:00:00:00 +0000",
    "01/Jan/2023:24:00:00 +0000",
    "01/Jan/2023:00:60:00 +0000",
    "01/Jan/2023:00:00:00",
    "2015-05-17T10:05:03Z",
  ])("%s is no time", (text) => {
    expect(parseLogTime(text)).toBeNull();
  });
});
