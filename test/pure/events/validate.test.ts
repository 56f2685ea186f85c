import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { REASONS } from "../../../core/events/rejection.ts";
import { uuidv7 } from "../../../core/events/uuid.ts";
import { type Validation, validateEvent } from "../../../core/events/validate.ts";

const RECEIVED_AT = Date.UTC(2026, 10, 22, 5);
const DAY_MS = 86_400_000;
const MINIMAL = { type: "web.request", source: "web" };

function validate(value: unknown, isNewIdRepeatable = false): Validation {
  return validateEvent(value, {
    index: 7,
    receivedAt: RECEIVED_AT,
    newId: (timestamp, index) => `new-${timestamp}-${index}`,
    isNewIdRepeatable,
  });
}

function validateText(json: string): Validation {
  return validate(JSON.parse(json));
}

/** A list (or object) nested `levels` deep. */
function nested(levels: number, open = "[", close = "]"): string {
  return open.repeat(levels) + (open === "[" ? "" : "1") + close.repeat(levels);
}

/** Bytes of an event whose data is one text. */
function sizeWith(text: string): number {
  return new TextEncoder().encode(JSON.stringify({ ...MINIMAL, data: { a: text } })).length;
}

describe("a valid event", () => {
  test("gets its defaults filled", () => {
    expect(validate(MINIMAL)).toEqual({
      ok: true,
      event: {
        ...MINIMAL,
        id: `new-${RECEIVED_AT}-7`,
        timestamp: RECEIVED_AT,
        receivedAt: RECEIVED_AT,
        severity: "medium",
        data: {},
        metadata: {},
      },
    });
  });

  test("keeps everything it says", () => {
    const sent = {
      id: "A.b_c:1-2",
      type: "a",
      source: "s",
      timestamp: "2026-11-22T06:00:00.123456+02:00",
      severity: "critical",
      data: { a: null, b: [1, { c: "\ud800" }], "x.y": "" },
      metadata: { m: true },
      correlation_id: "c",
      session_id: "",
      user_id: "u",
      tags: ["t", "t"],
    };
    expect(validate(sent)).toStrictEqual({
      ok: true,
      event: { ...sent, timestamp: Date.UTC(2026, 10, 22, 4, 0, 0, 123), receivedAt: RECEIVED_AT },
    });
  });

  test("may have null for what is optional", () => {
    const nulls = Object.fromEntries(
      ["id", "timestamp", "severity", "data", "metadata", "correlation_id", "session_id", "user_id", "tags"].map(
        (field) => [field, null],
      ),
    );
    expect(validate({ ...MINIMAL, ...nulls })).toEqual(validate(MINIMAL));
  });

  test.each<[string, unknown]>([
    ["an id of 64", { id: "x".repeat(64) }],
    ["a type of 128", { type: "x".repeat(128) }],
    ["a source of 256", { source: "x".repeat(256) }],
    ["32 tags of 256", { tags: Array.from({ length: 32 }, () => "x".repeat(256)) }],
    ["an emoji in a user id", { user_id: "\ud83d\ude00" }],
    ["a time just not too far ahead", { timestamp: RECEIVED_AT + DAY_MS }],
    ["the oldest time", { timestamp: Date.UTC(1990, 0, 1) }],
    ["32 levels of lists", { data: { a: JSON.parse(nested(31)) } }],
    ["32 levels of objects", { data: JSON.parse(nested(32, '{"a":', "}")) }],
    ["keys that objects inherit", { data: { toString: 1, hasOwnProperty: 2 } }],
    ["the largest float", { data: { a: 1.7976931348623157e308 } }],
  ])("may have %s", (_, fields) => {
    expect(validate({ ...MINIMAL, ...(fields as object) }).ok).toBe(true);
  });
});

describe("the time of an event without a timestamp", () => {
  const random = new Uint8Array(16);

  test.each([0, 1, DAY_MS])("is its id's, when that is a UUIDv7 made %i ms before receipt", (age) => {
    const id = uuidv7(RECEIVED_AT - age, random);
    const result = validate({ ...MINIMAL, id });
    expect(result).toMatchObject({ ok: true, event: { timestamp: RECEIVED_AT - age } });
    expect(result).not.toHaveProperty("event.timestampAssigned");
  });

  test.each([
    ["made a millisecond after receipt", uuidv7(RECEIVED_AT + 1, random)],
    ["made more than a day before", uuidv7(RECEIVED_AT - DAY_MS - 1, random)],
    ["of another kind", "order-1"],
  ])("is the receive time, and says so, for an id %s", (_, id) => {
    expect(validate({ ...MINIMAL, id })).toMatchObject({ event: { timestamp: RECEIVED_AT, timestampAssigned: true } });
  });

  test("is the receive time, and says so, when an Idempotency-Key makes the id", () => {
    expect(validate(MINIMAL, true)).toMatchObject({ event: { timestamp: RECEIVED_AT, timestampAssigned: true } });
  });

  test("is not called assigned when the event has one", () => {
    expect(validate({ ...MINIMAL, id: "order-1", timestamp: 1e12 }, true)).not.toHaveProperty(
      "event.timestampAssigned",
    );
  });
});

describe("a bad event", () => {
  test.each<[unknown, string, string]>([
    [null, "not_an_object", ""],
    [[], "not_an_object", ""],
    ["x", "not_an_object", ""],
    [5, "not_an_object", ""],
    [{ source: "web" }, "missing_field", "type"],
    [{ type: "a" }, "missing_field", "source"],
    [{ ...MINIMAL, type: null }, "missing_field", "type"],
    [{ ...MINIMAL, source: null }, "missing_field", "source"],
    [{ ...MINIMAL, usr_id: "u" }, "unknown_field", "usr_id"],
    [{ ...MINIMAL, received_at: 1 }, "unknown_field", "received_at"],
    [{ ...MINIMAL, id: "" }, "invalid_id", "id"],
    [{ ...MINIMAL, id: "x".repeat(65) }, "invalid_id", "id"],
    [{ ...MINIMAL, id: "a b" }, "invalid_id", "id"],
    [{ ...MINIMAL, id: "a\n" }, "invalid_id", "id"],
    [{ ...MINIMAL, type: "" }, "invalid_type", "type"],
    [{ ...MINIMAL, type: "x".repeat(129) }, "invalid_type", "type"],
    [{ ...MINIMAL, type: "a..b" }, "invalid_type", "type"],
    [{ ...MINIMAL, type: ".a" }, "invalid_type", "type"],
    [{ ...MINIMAL, type: "a b" }, "invalid_type", "type"],
    [{ ...MINIMAL, source: "" }, "invalid_text", "source"],
    [{ ...MINIMAL, source: "x".repeat(257) }, "too_long", "source"],
    [{ ...MINIMAL, user_id: "x".repeat(257) }, "too_long", "user_id"],
    [{ ...MINIMAL, session_id: "\ud800" }, "invalid_text", "session_id"],
    [{ ...MINIMAL, severity: "HIGH" }, "invalid_severity", "severity"],
    [{ ...MINIMAL, timestamp: "yesterday" }, "invalid_timestamp", "timestamp"],
    [{ ...MINIMAL, timestamp: "2026-11-22T05:00:00" }, "invalid_timestamp", "timestamp"],
    [{ ...MINIMAL, timestamp: RECEIVED_AT + DAY_MS + 1 }, "timestamp_in_future", "timestamp"],
    [{ ...MINIMAL, timestamp: "9999-12-31T23:59:59Z" }, "timestamp_in_future", "timestamp"],
    [{ ...MINIMAL, timestamp: RECEIVED_AT / 1000 }, "timestamp_too_old", "timestamp"],
    [{ ...MINIMAL, timestamp: -1 }, "timestamp_too_old", "timestamp"],
    [{ ...MINIMAL, tags: Array.from({ length: 33 }, () => "t") }, "too_many_tags", "tags"],
    [{ ...MINIMAL, tags: ["ok", "x".repeat(257)] }, "too_long", "tags[1]"],
    [{ ...MINIMAL, tags: ["ok", 5] }, "wrong_type", "tags[1]"],
    [{ ...MINIMAL, tags: [null] }, "wrong_type", "tags[0]"],
    [{ ...MINIMAL, data: { a: "x".repeat(32_000) } }, "too_large", ""],
    [{ ...MINIMAL, data: { a: { "b.c": [1, Infinity] } } }, "number_out_of_range", "data.a.b.c[1]"],
  ])("%j is rejected as %s at %j", (value, reason, field) => {
    const result = validate(value);
    expect(result).toMatchObject({ ok: false, reason, field, message: expect.stringMatching(/\w/) });
    expect(Object.keys(REASONS)).toContain(reason);
  });

  test.each([
    "id",
    "type",
    "source",
    "severity",
    "correlation_id",
    "session_id",
    "user_id",
    "timestamp",
    "data",
    "metadata",
    "tags",
  ])("%s of every wrong type is rejected by name", (field) => {
    const accepted: Record<string, string[]> = {
      timestamp: ["string", "number"],
      data: ["object"],
      metadata: ["object"],
      tags: ["list"],
    };
    const values: Record<string, unknown> = { boolean: true, number: 5, string: "x", object: { a: 1 }, list: [1] };
    for (const [type, value] of Object.entries(values)) {
      if ((accepted[field] ?? ["string"]).includes(type)) continue;
      expect(validate({ ...MINIMAL, [field]: value })).toMatchObject({ ok: false, reason: "wrong_type", field });
    }
  });

  test.each(["__proto__", "constructor", "prototype"])("%s as a key is rejected at any depth", (key) => {
    expect(validateText(`{"type":"a","source":"s","${key}":{}}`)).toMatchObject({
      reason: "forbidden_key",
      field: key,
    });
    expect(validateText(`{"type":"a","source":"s","data":{"${key}":1}}`)).toMatchObject({
      reason: "forbidden_key",
      field: `data.${key}`,
    });
    expect(validateText(`{"type":"a","source":"s","metadata":{"x":[{"${key}":{"polluted":1}}]}}`)).toMatchObject({
      reason: "forbidden_key",
      field: `metadata.x[0].${key}`,
    });
    expect({}).not.toHaveProperty("polluted");
  });

  test.each([33, 100, 100_000])("%i levels are rejected, in data, metadata, tags or any other field", (levels) => {
    const deep = nested(levels);
    expect(validateText(`{"type":"a","source":"s","data":{"a":${deep}}}`)).toMatchObject({ reason: "too_deep" });
    expect(validateText(`{"type":"a","source":"s","metadata":${nested(levels, '{"a":', "}")}}`)).toMatchObject({
      reason: "too_deep",
    });
    expect(validateText(`{"type":"a","source":"s","tags":${deep}}`)).toMatchObject({
      reason: "wrong_type",
      field: "tags[0]",
    });
    expect(validateText(`{"type":"a","source":${deep}}`)).toMatchObject({ reason: "wrong_type", field: "source" });
  });

  test("a number that overflows a float is rejected, not stored as null", () => {
    expect(validateText('{"type":"a","source":"s","data":{"n":1e999}}')).toMatchObject({
      reason: "number_out_of_range",
      field: "data.n",
    });
  });

  test("its id is repeated when it is a valid one", () => {
    expect(validate({ id: "e1", type: "a" })).toMatchObject({ ok: false, id: "e1" });
    expect(validate({ ...MINIMAL, id: "e1", data: { constructor: 1 } })).toMatchObject({ ok: false, id: "e1" });
    expect(validate({ id: "not valid", type: "a" })).not.toHaveProperty("id");
  });

  test("a long unknown name is not repeated in full", () => {
    const result = validate({ ...MINIMAL, ["x".repeat(1_000_000)]: 1 });
    expect(JSON.stringify(result).length).toBeLessThan(400);
  });
});

describe("the size of an event", () => {
  test.each(["x", "\u00e9", "\u4e2d", "\u0001", '"', "\ud83d\ude00", "\ud800"])(
    "is counted in bytes, at the limit, for text of %j",
    (character) => {
      const empty = sizeWith("");
      const each = sizeWith(character) - empty;
      const fits = character.repeat(Math.floor((32_000 - empty) / each));
      expect(validate({ ...MINIMAL, data: { a: fits } }).ok).toBe(true);
      expect(validate({ ...MINIMAL, data: { a: fits + character } })).toMatchObject({ reason: "too_large" });
    },
  );

  test("many tags and long ids count too", () => {
    const tags = Array.from({ length: 32 }, () => "\u4e2d".repeat(256));
    expect(validate({ ...MINIMAL, tags, data: { a: "x".repeat(7_200) } }).ok).toBe(true);
    expect(validate({ ...MINIMAL, tags, data: { a: "x".repeat(7_400) } })).toMatchObject({ reason: "too_large" });
  });
});

test("whatever JSON comes, the answer is an event or a rejection with a known reason", () => {
  const anything = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.record(
      {
        type: fc.constant("a"),
        source: fc.jsonValue(),
        id: fc.jsonValue(),
        timestamp: fc.jsonValue(),
        data: fc.jsonValue(),
        tags: fc.jsonValue(),
      },
      { requiredKeys: ["type"] },
    ),
  );
  fc.assert(
    fc.property(anything, (value) => {
      const result = validate(value);
      if (!result.ok) expect(Object.keys(REASONS)).toContain(result.reason);
      else expect(result.event.timestamp).toBeLessThanOrEqual(RECEIVED_AT + DAY_MS);
    }),
  );
});
