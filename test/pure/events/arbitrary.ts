import * as fc from "fast-check";
import type { JsonValue, StreamEvent } from "../../../core/events/event.ts";
import { SEVERITIES } from "../../../core/events/event.ts";

const FORBIDDEN_KEYS = new Set(["__proto__", "constructor", "prototype"]);

/** Few keys and values, so that columns repeat, mix types and miss rows; strings of raw UTF-16 units hold lone surrogates. */
const keys = fc
  .oneof(
    { arbitrary: fc.constantFrom("a", "b", "a.b", "", "1", "длина", "\ud83d\ude00", "client"), weight: 8 },
    { arbitrary: fc.string({ unit: "binary", maxLength: 4 }), weight: 1 },
  )
  .filter((key) => !FORBIDDEN_KEYS.has(key));

const rawUtf16 = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 4 })
  .map((units) => String.fromCharCode(...units));
const scalars = fc.oneof(
  fc.constantFrom<JsonValue>(null, true, false, 0, 1, "", "1", "true", "null", "[]", "x"),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value)),
  rawUtf16,
);

/** Any JSON value a few levels deep, often null, often of another type than its neighbours. */
export const jsonValues: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    { arbitrary: scalars, weight: 4 },
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(keys, tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;

/** An object as an event's `data` may be. */
export const bags = fc.dictionary(keys, jsonValues, { maxKeys: 6, noNullPrototype: true });

/** A valid event: any optional field may be missing. */
export const events: fc.Arbitrary<StreamEvent> = fc.record(
  {
    id: fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom(..."abcXYZ019._:-") }),
    type: fc.constantFrom("web.request", "error", "user.login"),
    source: fc.oneof(fc.constantFrom("web", "app"), fc.string({ minLength: 1, unit: "grapheme" })),
    timestamp: fc.integer({ min: 0, max: 4_000_000_000_000 }),
    receivedAt: fc.integer({ min: 0, max: 4_000_000_000_000 }),
    severity: fc.constantFrom(...SEVERITIES),
    data: bags,
    metadata: bags,
    correlation_id: fc.string({ maxLength: 4 }),
    session_id: fc.string({ maxLength: 4 }),
    user_id: fc.string({ maxLength: 4 }),
    tags: fc.array(fc.string({ maxLength: 3 }), { maxLength: 3 }),
    timestampAssigned: fc.constant(true),
  },
  {
    noNullPrototype: true,
    requiredKeys: ["id", "type", "source", "timestamp", "receivedAt", "severity", "data", "metadata"],
  },
);
