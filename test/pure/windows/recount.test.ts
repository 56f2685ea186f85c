import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { Aggregation, type AggregationState, valuesOf } from "../../../core/windows/aggregation.ts";
import { BatchView } from "../../../core/windows/batch-view.ts";
import type { Plan } from "../../../core/windows/plan.ts";
import { Recount, type Stretch, wholeStretch } from "../../../core/windows/recount.ts";
import type { StoredKeys } from "../../../core/windows/window-set.ts";
import { EVERY_TYPE, MINUTE, T0 } from "./every-window-type.ts";
import { allRows, partsOf, plan, withParts } from "./simulated-shard.ts";

const FRESH: AggregationState = {
  id: 1,
  version: 1,
  watermark: null,
  lateEvents: 0,
  filterErrors: 0,
  partialBefore: null,
  duplicatesBefore: 0,
};

/** An aggregation with its records on a disk, from which it is read back after each checkpoint. */
class Live {
  readonly aggregation: Aggregation;
  readonly #records = new Map<number, readonly Uint8Array[]>();

  constructor(of: Plan) {
    this.aggregation = new Aggregation(of, FRESH, (_, keys, part) => partsOf(this.#records, keys, part));
  }

  readonly stored: StoredKeys = (from, to, limit) =>
    [...this.#records.keys()]
      .filter((key) => key >= from && key < to)
      .sort((a, b) => a - b)
      .slice(0, limit);

  fold(events: readonly StreamEvent[]): void {
    if (events.length === 0) return;
    const batch = EventBatch.fromEvents(events);
    this.aggregation.apply(new BatchView(batch, allRows(batch)));
  }

  checkpoint(): void {
    const { windows } = this.aggregation;
    for (const { key, parts } of windows.takeDirty()) {
      if (parts.length === 0) this.#records.delete(key);
      else this.#records.set(key, withParts(this.#records.get(key), parts));
    }
    for (const { key } of windows.resting()) windows.forget(key);
  }

  shown(from = -Infinity, to = Infinity): unknown[] {
    const { windows, plan: of } = this.aggregation;
    return [...windows.list(from, to, this.stored)]
      .filter(({ groups }) => groups.size > 0)
      .map(({ start, end, session, closed, groups }) => ({
        start,
        end,
        session,
        closed,
        groups: Object.fromEntries(
          [...groups.values()].map((group) => [group.key, valuesOf(of, group, end - start)]).sort(),
        ),
      }));
  }

  revisions(): Map<string, number> {
    const { windows } = this.aggregation;
    return new Map(
      [...windows.list(-Infinity, Infinity, this.stored)].map(({ start, session, revision }) => [
        `${start} ${session ?? ""}`,
        revision,
      ]),
    );
  }
}

/** What happens between two segments being read. */
interface Turn {
  readonly arriving: number;
  readonly isFull: boolean;
  readonly crashes: boolean;
  readonly checkpoints: boolean;
}

/** Rebuilds a stretch as the job does: segments of what was stored before the cut, by their oldest event, while events arrive. */
function rebuild(live: Live, of: Stretch, stored: StreamEvent[], coming: StreamEvent[], turns: readonly Turn[]): void {
  const { aggregation } = live;
  const stretch = wholeStretch(aggregation, of);
  let { from } = stretch;
  let reach: number | undefined;
  let turn = 0;
  while (from < stretch.to) {
    const recount: Recount = new Recount(aggregation, { from, to: stretch.to }, reach);
    aggregation.recount = recount;
    const segments = segmentsOf(stored, 5);
    for (let k = 0; ;) {
      const action = turns[turn++ % turns.length];
      if (k < segments.length) {
        const batch = EventBatch.fromEvents(segments[k++] ?? []);
        recount.fold(batch, allRows(batch));
      }
      const arriving = coming.splice(0, action?.arriving ?? 0);
      live.fold(arriving);
      stored.push(...arriving);
      if (action?.checkpoints === true) live.checkpoint();
      const frontier = oldestOf(segments[k] ?? []);
      const next = recount.next(frontier, oldestOf(stored), action?.isFull === true);
      if (next.do === "replace") {
        recount.replace(next.through, live.stored);
        from = recount.position;
        reach = undefined;
        if (frontier === Infinity) break;
      } else if (next.do === "begin anew") {
        ({ reach } = next);
        break;
      }
      // One that never gets through a segment would never end.
      if (action?.crashes === true && turn < 40) break;
    }
    // A crash forgets what was only in memory.
    aggregation.recount = undefined;
    if (turn > 2000) throw new Error("the rebuild does not come to an end");
  }
}

/** Segments of a few events, in the order of the store, by their oldest event. */
function segmentsOf(stored: readonly StreamEvent[], size: number): StreamEvent[][] {
  const segments: StreamEvent[][] = [];
  for (let k = 0; k < stored.length; k += size) segments.push(stored.slice(k, k + size));
  return segments.sort((a, b) => oldestOf(a) - oldestOf(b));
}

const oldestOf = (events: readonly StreamEvent[]): number => Math.min(Infinity, ...events.map((e) => e.timestamp));

const drawn = fc.record({
  minutes: fc.oneof(fc.integer({ min: -600, max: 60 }), fc.integer({ min: -12, max: 2 })),
  second: fc.oneof(fc.constantFrom(0, 20, 40), fc.nat(59)),
  kind: fc.constantFrom("x", "y"),
  n: fc.nat(10),
});
const turn = fc.record({
  arriving: fc.nat(3),
  isFull: fc.boolean(),
  crashes: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  checkpoints: fc.boolean(),
});
const eventLists = fc.array(drawn, { maxLength: 50, size: "max" });
const turnLists = fc.array(turn, { minLength: 1, maxLength: 8 });
/** Up to five hours, anywhere among the events. */
const stretches = fc
  .tuple(fc.integer({ min: -600, max: 50 }), fc.integer({ min: 1, max: 300 }))
  .map(([first, minutes]): Stretch => ({ from: T0 + first * MINUTE, to: T0 + (first + minutes) * MINUTE }));
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;

const eventOf = ({ minutes, second, kind, n }: Drawn, k: number): StreamEvent => ({
  id: `e${k}`,
  type: "t",
  source: "a",
  timestamp: T0 + minutes * MINUTE + second * 1000,
  receivedAt: T0,
  severity: "low",
  data: { kind, n },
  metadata: {},
});

const at = (minutes: number, n: number): Drawn => ({ minutes, second: 0, kind: "x", n });

const definitions = EVERY_TYPE.map(({ definition }) => definition);
const EVERYTHING: Stretch = { from: T0 - 700 * MINUTE, to: T0 + 100 * MINUTE };

describe("a recount", () => {
  test("of everything equals a batch recount, whatever was there, came meanwhile or crashed", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...definitions),
        eventLists,
        fc.nat(50),
        fc.constantFrom("right", "nothing", "late start", "twice"),
        turnLists,
        (definition, list, cut, before, turns) => {
          const events = list.map(eventOf);
          const live = new Live(plan(definition));
          live.aggregation.windows.advance(T0 - 3 * MINUTE);
          const stored = events.slice(0, cut);
          if (before !== "nothing") live.fold(before === "late start" ? stored.slice(cut / 2) : stored);
          if (before === "twice") live.fold(stored.filter((_, k) => k % 3 === 0));
          const coming = events.slice(cut);
          rebuild(live, EVERYTHING, stored, coming, turns);
          live.fold(coming);
          const whole = new Live(plan(definition));
          whole.aggregation.windows.advance(T0 - 3 * MINUTE);
          whole.fold(events);
          expect(live.shown()).toEqual(whole.shown());
          live.checkpoint();
          expect(live.shown()).toEqual(whole.shown());
        },
      ),
      { numRuns: 1500 },
    );
  });

  test("begins anew where a late event joins a session that is in place with one that is not yet", () => {
    const definition = definitions.find(({ name }) => name === "sessions");
    if (definition === undefined) throw new Error("no definition");
    // Segments hold five: after the first one everything before minute 0 is final, and the gap is three minutes.
    const events = [at(-3, 0), at(0, 0), at(0, 0), at(0, 0), at(0, 0), at(0, 0), at(-1, 0)].map(eventOf);
    const live = new Live(plan(definition));
    live.fold(events.slice(0, 6));
    const turns = [
      { arriving: 0, isFull: true, crashes: false, checkpoints: false },
      { arriving: 1, isFull: false, crashes: false, checkpoints: false },
    ];
    rebuild(live, EVERYTHING, events.slice(0, 6), events.slice(6), turns);
    const whole = new Live(plan(definition));
    whole.fold(events);
    expect(live.shown()).toEqual(whole.shown());
    expect(live.shown()).toHaveLength(1);
  });

  test("of a stretch that was right changes nothing, and no revision is raised", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...definitions),
        eventLists,
        stretches,
        turnLists,
        (definition, list, stretch, turns) => {
          const events = list.map(eventOf);
          const live = new Live(plan(definition));
          live.aggregation.windows.advance(T0 - 3 * MINUTE);
          for (const one of events) live.fold([one]);
          const [shown, revisions] = [live.shown(), live.revisions()];
          rebuild(live, stretch, events, [], turns);
          expect(live.shown()).toEqual(shown);
          expect(live.revisions()).toEqual(revisions);
        },
      ),
      { numRuns: 700 },
    );
  });

  test("of a stretch makes right what lies in it, and loses nothing beside it", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...definitions),
        eventLists,
        stretches,
        turnLists,
        (definition, list, stretch, turns) => {
          const events = list.map(eventOf);
          const live = new Live(plan(definition));
          const isInside = ({ timestamp }: StreamEvent): boolean => timestamp >= stretch.from && timestamp < stretch.to;
          // Only within the stretch is anything missing.
          live.fold(events.filter((event, k) => !isInside(event) || k % 2 === 0));
          rebuild(live, stretch, events, [], turns);
          const whole = new Live(plan(definition));
          whole.fold(events);
          expect(live.shown()).toEqual(whole.shown());
        },
      ),
      { numRuns: 700 },
    );
  });

  test("raises the revision of a closed window once, and only where the result differs", () => {
    const [perMinute] = definitions;
    if (perMinute === undefined) throw new Error("no definition");
    const live = new Live(plan(perMinute));
    const events = [at(-10, 1), at(-9, 1), at(-8, 1)].map(eventOf);
    live.fold(events.slice(0, 2));
    live.aggregation.windows.advance(T0);
    rebuild(live, EVERYTHING, events, [], [{ arriving: 0, isFull: false, crashes: false, checkpoints: true }]);
    expect([...live.revisions().values()]).toEqual([0, 0, 0]);
    live.fold([eventOf(at(-9, 5), 9)]);
    rebuild(live, EVERYTHING, events, [], [{ arriving: 0, isFull: true, crashes: false, checkpoints: true }]);
    expect([...live.revisions().values()]).toEqual([0, 2, 0]);
  });
});
