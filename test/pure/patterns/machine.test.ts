import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PatternDefinition } from "../../../core/patterns/definition.ts";
import { specOf } from "../../../core/patterns/definition.ts";
import { KeeperMachine } from "../../../core/patterns/keeper-machine.ts";
import { EventList, type PatternEvent } from "../../../core/patterns/event-list.ts";
import type { Outcome } from "../../../core/patterns/pattern-state.ts";
import { matchEvent } from "../../../core/patterns/match-event.ts";
import type { StoredPattern } from "../../../core/patterns/plan.ts";
import { matchesByHand, named } from "./oracle.ts";
import { rowsPart } from "./rows.ts";

const WITHIN = 10;
const step = { filter: "true" };

function definition(kind: PatternDefinition["kind"], latenessMs: number, times = 3): PatternDefinition {
  const shared = { name: "p", within: `${WITHIN}ms`, key: "user_id", allowed_lateness: `${latenessMs}ms` };
  return kind === "count" ? { ...shared, kind, event: step, times } : { ...shared, kind, first: step, second: step };
}

interface Arrival {
  readonly key: string;
  readonly event: PatternEvent;
}

/** A keeper that is told of one arrival at a time, counts what it says, and is read back from its checkpoint when asked to. */
class Bench {
  readonly pattern: StoredPattern;
  readonly told = new Map<string, { net: number; key: string; name: string }>();
  readonly accepted: Arrival[] = [];
  /** Ids of events sent: a second one with the same id would be no news to anybody. */
  readonly #sent = new Set<string>();
  machine: KeeperMachine;
  watermark = -Infinity;

  readonly #maxEvents: number | undefined;

  constructor(given: PatternDefinition, maxEvents?: number) {
    this.pattern = { id: 7, version: 1, definition: given };
    this.#maxEvents = maxEvents;
    this.machine = new KeeperMachine([this.pattern], [], () => {}, maxEvents);
  }

  arrive({ key, event }: Arrival): void {
    const before = this.counts;
    const rows = rowsPart([{ pattern: 7, key, ...event }]);
    this.#hear(this.machine.take({ rows }));
    if (this.counts.tooLate === before.tooLate) this.accepted.push({ key, event });
  }

  advance(watermark: number): void {
    this.watermark = Math.max(this.watermark, watermark);
    this.#hear(this.machine.take({ watermarks: [[7, watermark]] }));
  }

  restart(): void {
    const state = this.#state;
    const { size, bytes } = this.machine;
    const stored: unknown = JSON.parse(JSON.stringify([state, [...state.keys]]));
    const [json, keys] = stored as [ReturnType<typeof state.toJSON>, [string, never][]];
    this.machine = new KeeperMachine([this.pattern], [json], () => {}, this.#maxEvents);
    for (const [key, buffer] of keys) this.machine.restore(7, key, buffer);
    // Or replaying its log the machine would meet its limits elsewhere.
    expect(this.machine).toMatchObject({ size, bytes });
  }

  get counts() {
    return this.#state.counts;
  }

  /** What it says it holds is what its keys hold. */
  checkSizes(): void {
    const buffers = [...this.#state.keys.values()];
    const spec = specOf(this.pattern.definition);
    expect(this.machine.size).toBe(buffers.reduce((sum, { events }) => sum + events.size, 0));
    expect(this.machine.bytes).toBe(buffers.reduce((sum, buffer) => sum + buffer.bytes(spec), 0));
    for (const { events } of buffers) {
      const [at, ids, steps] = events.toColumns();
      expect([at.length, steps.length]).toEqual([ids.length, ids.length]);
      expect(events.bytes).toBe(new EventList([...at], [...ids], [...steps]).bytes);
    }
  }

  get #state() {
    const state = this.machine.patterns.get(7);
    if (state === undefined) throw new Error("no pattern");
    return state;
  }

  /** What stands, by key. */
  standing(): string[] {
    const all = [...this.told.values()];
    expect(all.every(({ net }) => net === 0 || net === 1)).toBe(true);
    return all
      .filter(({ net }) => net === 1)
      .map(({ key, name }) => `${key}: ${name}`)
      .toSorted();
  }

  /** The same from the definition. */
  expected(): string[] {
    const byKey = Map.groupBy(this.accepted, ({ key }) => key);
    const found = [...byKey].flatMap(([key, arrivals]) => {
      const events = new Map(arrivals.map(({ event }) => [event.id, event]));
      return matchesByHand(specOf(this.pattern.definition), [...events.values()]).map((name) => `${key}: ${name}`);
    });
    return found.toSorted();
  }

  #hear(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const { data, id } = matchEvent(outcome);
      expect(this.#sent.has(id), `${id} is sent again`).toBe(false);
      this.#sent.add(id);
      const matchId = outcome.kind === "matched" ? id : String((data as { match_id: string }).match_id);
      const name = named(outcome.match.events, outcome.match.at);
      const known = this.told.get(matchId) ?? { net: 0, key: outcome.key, name };
      expect(known.name).toBe(name);
      this.told.set(matchId, { ...known, net: known.net + (outcome.kind === "matched" ? 1 : -1) });
    }
  }
}

type Step = { readonly arrival: Arrival } | { readonly watermark: number } | "restart";

const arrival = fc
  .record({ key: fc.constantFrom('"a"', '"b"'), at: fc.nat(60), n: fc.nat(400), steps: fc.integer({ min: 1, max: 3 }) })
  .map(({ key, at, n, steps }): Step => ({
    arrival: { key, event: { at, id: `${key}${at}-${n % 3}`, steps: idSteps(at, n % 3, steps) } },
  }));
/** The same id is the same event, wherever it comes from. */
const idSteps = (at: number, n: number, _steps: number): number => 1 + ((at * 7 + n * 3) % 3);
const stream = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: arrival },
    { weight: 3, arbitrary: fc.nat(75).map((watermark): Step => ({ watermark })) },
    { weight: 1, arbitrary: fc.constant<Step>("restart") },
  ),
  { maxLength: 90 },
);

function run(given: PatternDefinition, steps: readonly Step[], maxEvents?: number): Bench {
  const bench = new Bench(given, maxEvents);
  for (const one of steps) {
    if (one === "restart") bench.restart();
    else if ("arrival" in one) bench.arrive(one.arrival);
    else bench.advance(one.watermark);
  }
  bench.checkSizes();
  bench.advance(200);
  bench.checkSizes();
  return bench;
}

const kinds = fc.constantFrom<PatternDefinition["kind"]>("sequence", "absence", "count");

describe("a keeper, whatever comes in whatever order", () => {
  test("has told, less what it took back, exactly the matches of all events", () => {
    fc.assert(
      fc.property(kinds, fc.integer({ min: 2, max: 4 }), stream, (kind, times, steps) => {
        const bench = run(definition(kind, 10_000, times), steps);
        expect(bench.standing()).toEqual(bench.expected());
        expect(bench.counts.tooLate).toBe(0);
      }),
      { numRuns: 1500 },
    );
  });

  test("has told exactly the matches of the events it took, when later ones are refused and old ones forgotten", () => {
    fc.assert(
      fc.property(kinds, fc.integer({ min: 2, max: 4 }), fc.nat(20), stream, (kind, times, lateness, steps) => {
        const bench = run(definition(kind, lateness, times), steps);
        expect(bench.standing()).toEqual(bench.expected());
      }),
      { numRuns: 1500 },
    );
  });

  test("takes back only what it has told, and tells nothing twice, also when it drops events at its limit", () => {
    fc.assert(
      fc.property(kinds, fc.integer({ min: 2, max: 4 }), stream, (kind, times, steps) => {
        const bench = run(definition(kind, 10_000, times), steps, 12);
        expect(bench.machine.size).toBeLessThanOrEqual(12);
        bench.standing();
      }),
      { numRuns: 1000 },
    );
  });

  test("tells of every match once it can be decided, and not before", () => {
    fc.assert(
      fc.property(kinds, stream, fc.nat(80), (kind, steps, watermark) => {
        const bench = new Bench(definition(kind, 10_000));
        for (const one of steps) if (one !== "restart" && "arrival" in one) bench.arrive(one.arrival);
        expect(bench.standing()).toEqual([]);
        bench.advance(watermark);
        const wanted = bench.machine.wants()[0]?.[1] ?? Infinity;
        expect(wanted).toBeGreaterThan(watermark);
        const told = bench.standing();
        bench.advance(Math.min(wanted, 200) - 1);
        expect(bench.standing()).toEqual(told);
        bench.advance(200);
        expect(bench.standing()).toEqual(bench.expected());
      }),
      { numRuns: 500 },
    );
  });

  test("forgets events that can matter no more", () => {
    const bench = new Bench(definition("sequence", 5));
    for (let at = 0; at < 1000; at++) {
      bench.arrive({ key: '"a"', event: { at, id: `e${at}`, steps: 3 } });
      bench.advance(at - 2);
    }
    bench.advance(2000);
    expect(bench.machine.size).toBe(0);
    expect(bench.machine.patterns.get(7)?.keys.size).toBe(0);
    expect(bench.counts).toEqual({ matches: 999, retracted: 0, late: 0, tooLate: 0, dropped: 0 });
  });
});
