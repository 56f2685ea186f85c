import { describe, expect, test } from "vitest";
import { mayContain } from "../../../core/events/bloom.ts";
import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { fittingEvents, fittingPage, MAX_PAGE_CHARACTERS } from "../../../core/events/page-bytes.ts";
import { ALL_EVENTS } from "../../../core/events/query.ts";
import {
  filterKeys,
  MAX_LIST_CHARACTERS,
  sourceKey,
  summarizeSegment,
  typeKey,
} from "../../../core/events/segment-summary.ts";

function makeEvent(id: string, timestamp: number, fields: Partial<StreamEvent> = {}): StreamEvent {
  return {
    id,
    type: "t",
    source: "s",
    timestamp,
    receivedAt: timestamp,
    severity: "medium",
    data: {},
    metadata: {},
    ...fields,
  };
}

const typesOf = (length: number) =>
  summarizeSegment([EventBatch.fromEvents([makeEvent("a", 1, { type: "x".repeat(length) })])]);

describe("summary of a segment", () => {
  test("spans all its batches", () => {
    const first = EventBatch.fromEvents([makeEvent("a", 50), makeEvent("b", 10, { type: "u" })]);
    const second = EventBatch.fromEvents([makeEvent("c", 70, { source: "z" })]);
    expect(summarizeSegment([first, second])).toMatchObject({
      events: 3,
      minTimestamp: 10,
      maxTimestamp: 70,
      types: ["t", "u"],
      sources: ["s", "z"],
    });
  });

  test("its filter has every id, tag and severity, each under its own field", () => {
    const event = makeEvent("a", 1, {
      user_id: "u",
      session_id: "n",
      correlation_id: "c",
      tags: ["g", "h"],
      severity: "high",
    });
    const { filter } = summarizeSegment([EventBatch.fromEvents([event, makeEvent("b", 2)])]);
    const query = {
      ...ALL_EVENTS,
      userIds: ["u"],
      sessionIds: ["n"],
      correlationIds: ["c"],
      tags: ["g", "h"],
      severities: ["high", "medium"],
    } as const;
    const keys = filterKeys(query);
    expect(keys.map((group) => group.length)).toEqual([1, 1, 1, 2, 2]);
    expect(keys.flat().every((key) => mayContain(filter, key))).toBe(true);
    expect(new Set(keys.flat()).size).toBe(7);
  });

  test("lists of types and sources are kept up to the limit, and go into the filter beyond it", () => {
    // The JSON of a list of one has four characters more than its value.
    expect(typesOf(MAX_LIST_CHARACTERS - 4).types).toEqual(["x".repeat(MAX_LIST_CHARACTERS - 4)]);
    const long = typesOf(MAX_LIST_CHARACTERS - 3);
    expect(long.types).toBeNull();
    expect(mayContain(long.filter, typeKey("x".repeat(MAX_LIST_CHARACTERS - 3)))).toBe(true);
    const manySources = Array.from({ length: 100 }, (_, i) => makeEvent(`e${i}`, 1, { source: `host-${i}` }));
    const { sources, filter } = summarizeSegment([EventBatch.fromEvents(manySources)]);
    expect(sources).toBeNull();
    expect(manySources.every(({ source }) => mayContain(filter, sourceKey(source)))).toBe(true);
  });
});

const sized = (id: string, characters: number): StreamEvent => {
  const empty = JSON.stringify(makeEvent(id, 1, { data: { x: "" } })).length;
  return makeEvent(id, 1, { data: { x: "x".repeat(characters - empty) } });
};

describe("size of a page", () => {
  test("events are kept as far as they fit, exactly to the limit, and never fewer than one", () => {
    const half = MAX_PAGE_CHARACTERS / 2;
    expect(fittingEvents([sized("a", half), sized("b", half)])).toHaveLength(2);
    expect(fittingEvents([sized("a", half), sized("b", half + 1)])).toHaveLength(1);
    expect(fittingEvents([sized("a", MAX_PAGE_CHARACTERS + 1), sized("b", 500)])).toHaveLength(1);
    expect(fittingEvents([])).toEqual([]);
  });

  test("a shortened page goes on behind its last event, another keeps its own cursor", () => {
    const [a, b] = [sized("a", 5_000_000), sized("b", 5_000_000)];
    expect(fittingPage({ events: [a, b], next: null, segmentsOpened: 1 })).toEqual({
      events: [a],
      next: { timestamp: 1, id: "a" },
      segmentsOpened: 1,
    });
    expect(fittingPage({ events: [a], next: null, segmentsOpened: 1 }).next).toBeNull();
  });
});
