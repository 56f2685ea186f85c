import fc from "fast-check";
import { expect, test } from "vitest";
import { packInstances, unpackInstances } from "../../../core/alerts/instance.ts";
import { Bench, MINUTE, ruleOf, windowOf } from "./fixtures.ts";

const GROUPS = ["a", "b", "c"] as const;
const THRESHOLD = 5;

/** What may reach the AlertManager: windows in order, with pauses; repeats, revisions and restarts in between. */
type Event =
  | { readonly kind: "window"; readonly pause: number; readonly values: Values }
  | { readonly kind: "empty"; readonly pause: number; readonly windows: number }
  | { readonly kind: "revision"; readonly back: number; readonly values: Values }
  | { readonly kind: "repeat"; readonly back: number }
  | { readonly kind: "restart" };
type Values = Readonly<Record<string, number>>;

const values = fc.dictionary(fc.constantFrom(...GROUPS), fc.integer({ min: 0, max: 9 }), { maxKeys: 3 });
const pause = fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 4 }));
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("window" as const), pause, values }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("empty" as const), pause, windows: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("revision" as const), back: fc.integer({ min: 0, max: 3 }), values }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("repeat" as const), back: fc.integer({ min: 0, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
);

/** One group's alert as a person would keep it by hand: minute by minute, every minute there is. */
class Diary {
  readonly log: string[] = [];
  #trueSince: number | null = null;
  #falseSince: number | null = null;
  #isFiring = false;

  note(minute: number, holds: boolean, forMinutes: number, keepMinutes: number): void {
    if (holds) {
      if (this.#trueSince === null) {
        this.#trueSince = minute;
        if (forMinutes > 0) this.log.push("pending");
      }
      this.#falseSince = null;
      if (!this.#isFiring && minute - this.#trueSince >= forMinutes) {
        this.#isFiring = true;
        this.log.push("firing");
      }
      return;
    }
    if (this.#trueSince === null) return;
    this.#falseSince ??= minute;
    if (this.#isFiring && minute - this.#falseSince < keepMinutes) return;
    this.log.push(this.#isFiring ? "resolved" : "dropped");
    this.#trueSince = null;
    this.#falseSince = null;
    this.#isFiring = false;
  }

  get isFiring(): boolean {
    return this.#isFiring;
  }
}

test("any order of windows, pauses, repeats, revisions and restarts agrees with a diary kept minute by minute", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), fc.nat(4), fc.nat(4), (events, forMinutes, keepMinutes) => {
      const bench = new Bench(ruleOf(`value > ${THRESHOLD}`, forMinutes, keepMinutes));
      const diaries = new Map(GROUPS.map((group) => [group, new Diary()]));
      const told: { end: number; size: number; revision: number; values: Values }[] = [];
      let lastEnd: number | null = null;
      const noteAll = (minute: number, seen: Values, absentToo: boolean): void => {
        for (const [group, diary] of diaries) {
          const value = seen[group];
          if (value !== undefined || absentToo) diary.note(minute, (value ?? 0) > THRESHOLD, forMinutes, keepMinutes);
        }
      };
      const tell = (end: number, size: number, revision: number, seen: Values): void => {
        told.push({ end, size, revision, values: seen });
        bench.take(windowOf(end, seen, revision, size));
      };
      for (const next of events) {
        switch (next.kind) {
          case "window":
          case "empty": {
            const size = next.kind === "empty" ? next.windows : 1;
            const seen = next.kind === "empty" ? {} : next.values;
            const end: number = (lastEnd ?? 0) + next.pause + size;
            for (let minute = (lastEnd ?? end - 1) + 1; minute < end; minute++) noteAll(minute, {}, true);
            noteAll(end, seen, true);
            lastEnd = end;
            tell(end, size, 0, seen);
            break;
          }
          case "revision": {
            const end: number = (lastEnd ?? 0) - next.back;
            const revised = told.findLast((window) => window.end === end);
            if (revised === undefined) break;
            const seen = { ...revised.values, ...next.values };
            if (Object.keys(seen).length === 0) break;
            if (end === lastEnd) noteAll(end, seen, false);
            // What was told as empty has its first real window now.
            const real = told.filter((window) => window.end === end && Object.keys(window.values).length > 0);
            tell(end, 1, Math.max(-1, ...real.map(({ revision }) => revision)) + 1, seen);
            break;
          }
          case "repeat": {
            const repeated = told.at(-1 - next.back);
            if (repeated === undefined) break;
            bench.take(windowOf(repeated.end, repeated.values, repeated.revision, repeated.size));
            break;
          }
          case "restart": {
            const instances = [...bench.state.instances].map(
              ([id, open]) => [id, unpackInstances(packInstances(open, 200))] as const,
            );
            bench.state = { ...bench.state, instances: new Map(instances) };
          }
        }
      }
      for (const [group, diary] of diaries) {
        const mine = bench.transitions.filter(({ instance }) => instance.group["instance"] === group);
        expect(mine.map(({ kind }) => kind)).toEqual(diary.log);
        expect(bench.open.includes(`${group} firing`)).toBe(diary.isFiring);
        expect(new Set(mine.filter(({ kind }) => kind === "firing").map(({ instance }) => instance.alertId)).size).toBe(
          diary.log.filter((kind) => kind === "firing").length,
        );
      }
    }),
    { numRuns: 2_000 },
  );
});

test("however windows are told, an alert fires at most once and ends at most once", () => {
  const anyWindow = fc.record({
    end: fc.integer({ min: 1, max: 8 }),
    revision: fc.nat(3),
    version: fc.integer({ min: 1, max: 2 }),
    seen: values,
  });
  fc.assert(
    fc.property(fc.array(anyWindow, { maxLength: 60 }), fc.nat(2), fc.nat(2), (windows, forMinutes, keepMinutes) => {
      const bench = new Bench(ruleOf(`value > ${THRESHOLD}`, forMinutes, keepMinutes));
      for (const { end, revision, version, seen } of windows) bench.take({ ...windowOf(end, seen, revision), version });
      for (const group of GROUPS) {
        const kinds = bench.transitions
          .filter(({ instance }) => instance.group["instance"] === group)
          .map(({ kind }) => kind);
        const fires = kinds.filter((kind) => kind === "firing" || kind === "resolved");
        for (const [k, kind] of fires.entries()) expect(kind).toBe(k % 2 === 0 ? "firing" : "resolved");
        expect(bench.open.includes(`${group} firing`)).toBe(fires.length % 2 === 1);
      }
      const notices = bench.transitions.map(({ kind, instance }) => `${instance.alertId} ${kind}`);
      expect(new Set(notices).size).toBe(notices.length);
      expect(bench.state.cursor?.end ?? 0).toBe(Math.max(0, ...windows.map(({ end }) => end * MINUTE)));
    }),
    { numRuns: 1_000 },
  );
});
