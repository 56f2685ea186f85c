import { describe, expect, test } from "vitest";
import { encodeCursor } from "../../../core/events/cursor.ts";
import { ALL_EVENTS } from "../../../core/events/query.ts";
import { DEFAULT_LIMIT, MAX_LIMIT, MAX_VALUES, parametersOf, parseQuery } from "../../../core/events/query-parse.ts";

const parse = (text: string) => parseQuery(parametersOf(new URLSearchParams(text)), "acme");
const parseJson = (body: object) => parseQuery(new Map(Object.entries(body)), "acme");

function queryOf(parsed: ReturnType<typeof parse>) {
  if (!parsed.ok) throw new Error(`${parsed.field} ${parsed.message}`);
  return parsed.request.query;
}

const values = (count: number): string => Array.from({ length: count }, (_, i) => `u${i}`).join(",");

describe("parameters of an event query", () => {
  test("nothing given means everything, newest first, a hundred a page", () => {
    expect(parse("")).toEqual({ ok: true, request: { query: ALL_EVENTS, limit: DEFAULT_LIMIT, after: null } });
  });

  test("lists may be repeated, cut by commas, or both, and a value given twice counts once", () => {
    expect(queryOf(parse("type=a,b&type=c&type=a&tag=x")).types).toEqual(["a", "b", "c"]);
    expect(queryOf(parseJson({ types: ["a", "b,c"], type: "a" })).types).toEqual(["a", "b,c"]);
  });

  test("every field has its singular in a URL and its plural in JSON", () => {
    const byUrl = queryOf(parse("type=t&source=s&user_id=u&session_id=n&correlation_id=c&severity=high&tag=g"));
    const lists = {
      types: ["t"],
      sources: ["s"],
      user_ids: ["u"],
      session_ids: ["n"],
      correlation_ids: ["c"],
      severities: ["high"],
      tags: ["g"],
    };
    expect(queryOf(parseJson(lists))).toEqual(byUrl);
    expect(byUrl).toMatchObject({
      types: ["t"],
      sources: ["s"],
      userIds: ["u"],
      sessionIds: ["n"],
      correlationIds: ["c"],
      severities: ["high"],
      tags: ["g"],
    });
  });

  test("times are RFC 3339 in any zone, also with the plus sign a URL loses, or epoch milliseconds", () => {
    const wanted = Date.UTC(2026, 10, 22, 8);
    for (const text of [
      "2026-11-22T08:00:00Z",
      "2026-11-22T10:00:00%2B02:00",
      "2026-11-22T10:00:00+02:00",
      "2026-11-22T08:00:00.000Z",
      String(wanted),
    ]) {
      expect(queryOf(parse(`from=${text}`)).fromMs).toBe(wanted);
    }
    expect(queryOf(parseJson({ to: wanted })).toMs).toBe(wanted);
  });

  test("limits hold at the limit and not beyond", () => {
    expect(parse(`limit=${MAX_LIMIT}`)).toMatchObject({ ok: true, request: { limit: MAX_LIMIT } });
    expect(parse(`limit=${MAX_LIMIT + 1}`)).toMatchObject({ ok: false, field: "limit" });
    expect(parse(`user_id=${values(MAX_VALUES)}`).ok).toBe(true);
    expect(parse(`user_id=${values(MAX_VALUES + 1)}`)).toMatchObject({ ok: false, field: "user_id" });
    expect(parse(`user_id=${"x".repeat(256)}`).ok).toBe(true);
    expect(parse(`user_id=${"x".repeat(257)}`)).toMatchObject({ ok: false, field: "user_id" });
  });

  test("a cursor goes on where its page ended, also with another limit", () => {
    const after = { timestamp: 5, id: "e" };
    const text = encodeCursor(after, "acme", { ...ALL_EVENTS, types: ["a"] });
    expect(parse(`type=a&limit=3&cursor=${text}`)).toMatchObject({ ok: true, request: { after, limit: 3 } });
    expect(parse(`type=b&cursor=${text}`)).toMatchObject({ ok: false, field: "cursor" });
  });
});
