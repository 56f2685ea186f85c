import fc from "fast-check";
import type { StreamEvent } from "../../../core/events/event.ts";
import { valuesOf } from "../../../core/windows/aggregation.ts";
import { BatchRecount, type Recounted } from "./batch-recount.ts";
import { EVERY_TYPE, MINUTE, outOfOrdernessMs, T0, toldForMs } from "./every-window-type.ts";
import { PlainWatermarks } from "./plain-watermarks.ts";
import type { Logged, SimulatedShard } from "./simulated-shard.ts";

/** Forty events that a run may pick, any number of times. */
export const specs = fc.array(
  fc.record({
    minutes: fc.oneof(fc.integer({ min: -600, max: 60 }), fc.integer({ min: -12, max: 2 })),
    // Ties, and distances of exactly a gap, have to happen.
    second: fc.oneof(fc.constantFrom(0, 20, 40), fc.nat(59)),
    source: fc.constantFrom("a", "b", "c"),
    kind: fc.constantFrom("x", "y"),
    n: fc.nat(10),
    /** Sent without a time: it has that of its arrival, each copy another. */
    isTimeless: fc.constantFrom(false, false, false, false, true),
  }),
  { minLength: 40, maxLength: 40 },
);
export type Specs = typeof specs extends fc.Arbitrary<infer T> ? T : never;

export function eventOf(pick: number, all: Specs, receivedAt: number): StreamEvent {
  const spec = all[pick];
  if (spec === undefined) throw new Error("no such event");
  const timestamp = spec.isTimeless ? receivedAt : T0 + spec.minutes * MINUTE + spec.second * 1000;
  const data = { kind: spec.kind, n: spec.n };
  const event = { id: `e${pick}`, type: "t", source: spec.source, timestamp, receivedAt, data, metadata: {} };
  return { ...event, severity: "low", ...(spec.isTimeless ? { timestampAssigned: true } : {}) };
}

/** The event as it arrives now: a number picked before is the same event again. */
export function arrival(pick: number, all: Specs, receivedAt: number, sent: Map<number, StreamEvent>): StreamEvent {
  const known = sent.get(pick);
  if (known !== undefined && all[pick]?.isTimeless !== true) return known;
  const event = eventOf(pick, all, receivedAt);
  sent.set(pick, known ?? event);
  return event;
}

/** What a log must have brought forth, by the plainest means. */
export interface Replayed {
  /** By aggregation. */
  readonly recounts: ReadonlyMap<string, BatchRecount>;
  readonly watermarks: ReadonlyMap<string, number>;
  /** Events that came behind the watermark. */
  readonly late: ReadonlyMap<string, number>;
  readonly told: readonly {
    readonly aggregation: string;
    readonly start: number;
    readonly end: number;
    readonly revision: number;
  }[];
}

/** Recounts everything after each entry of a log. */
export function replay(history: readonly Logged[]): Replayed {
  const plain = new PlainWatermarks(
    EVERY_TYPE.map(({ definition: { name } }) => ({ name, outOfOrdernessMs: outOfOrdernessMs(name) })),
  );
  const recounts = new Map(EVERY_TYPE.map(({ definition, recount }) => [definition.name, new BatchRecount(recount)]));
  const told: { aggregation: string; start: number; end: number; revision: number }[] = [];
  const late = new Map(EVERY_TYPE.map(({ definition: { name } }) => [name, 0]));
  for (const logged of history) {
    const before = plain.watermarks;
    const came = logged.kind === "events" ? logged.events : [];
    for (const { definition, recount } of EVERY_TYPE) {
      const watermark = before.get(definition.name) ?? Number.NaN;
      const behind = came.filter((event) => recount.counts(event) && event.timestamp < watermark);
      late.set(definition.name, (late.get(definition.name) ?? 0) + behind.length);
    }
    const expected = new Map<string, Recounted[]>();
    for (const [name, recount] of recounts)
      expected.set(name, logged.kind === "events" ? recount.take(logged.events, before.get(name) ?? Number.NaN) : []);
    if (logged.kind === "tick") plain.tick(logged.at);
    else plain.take(logged.events);
    for (const [name, recount] of recounts) {
      const [from, to] = [before.get(name) ?? Number.NaN, plain.watermarks.get(name) ?? Number.NaN];
      const revised = (expected.get(name) ?? []).filter(
        ({ end, revision }) => revision === 0 || end + toldForMs(name) > from,
      );
      for (const window of [...revised, ...recount.advance(from, to)])
        told.push({ aggregation: name, start: window.start, end: window.end, revision: window.revision });
    }
  }
  return { recounts, watermarks: plain.watermarks, late, told };
}

const countOf = (events: readonly StreamEvent[]) => ({
  events: events.length,
  total: events.reduce((sum, { data }) => sum + Number(data["n"]), 0),
});

/** Each window with its state and its groups' values, as the shard has them. */
export function windowsOf(shard: SimulatedShard, name: string): unknown[] {
  const aggregation = shard.machine.aggregations.get(name);
  if (aggregation === undefined) return [];
  return shard.list(aggregation).map(({ start, end, closed, revision, groups }) => ({
    start,
    end,
    closed,
    revision,
    groups: new Map([...groups].map(([key, group]) => [key, valuesOf(aggregation.plan, group, end - start)])),
  }));
}

/** Aggregations tell in no order among themselves. */
export const byAggregation = (list: readonly { readonly aggregation: string }[]) =>
  EVERY_TYPE.map(({ definition: { name } }) => list.filter(({ aggregation }) => aggregation === name));

/** The same of a recount: what the windows must be. */
export function expectedWindows(name: string, { recounts, watermarks }: Replayed): unknown[] {
  const watermark = watermarks.get(name) ?? Number.NaN;
  const groupOf = EVERY_TYPE.find(({ definition }) => definition.name === name)?.recount.groupOf ?? (() => "");
  return [...(recounts.get(name)?.windows ?? [])]
    .sort((a, b) => a.start - b.start || ((a.session ?? "") < (b.session ?? "") ? -1 : 1))
    .map((window) => ({
      start: window.start,
      end: window.end,
      closed: window.end <= watermark,
      revision: window.revision,
      groups: new Map([...Map.groupBy(window.events, groupOf)].map(([key, events]) => [key, countOf(events)])),
    }));
}
