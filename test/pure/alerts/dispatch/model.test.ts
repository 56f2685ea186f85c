import fc from "fast-check";
import { expect, test } from "vitest";
import { MINUTE, windowOf } from "../fixtures.ts";
import type { RuleSpec } from "../../../../core/alerts/rule.ts";
import type { ClosedWindow } from "../../../../core/windows/window-json.ts";
import { World } from "./world.ts";

const GROUPS = ["a", "b", "c"] as const;
const THRESHOLD = 5;
type Values = Readonly<Record<string, number>>;

/** What may happen to an alert manager. Times in minutes; windows are a minute long and told when the clock stands wherever it stands. */
type Event =
  | { readonly kind: "window"; readonly pause: number; readonly values: Values; readonly isLate: boolean }
  | { readonly kind: "burst"; readonly list: readonly Values[] }
  | { readonly kind: "open"; readonly ahead: number; readonly values: Values }
  | { readonly kind: "again"; readonly back: number }
  | { readonly kind: "pass"; readonly minutes: number; readonly isPunctual: boolean }
  | { readonly kind: "step back"; readonly minutes: number }
  | { readonly kind: "silence"; readonly group: string; readonly from: number; readonly length: number }
  | { readonly kind: "acknowledge" | "resolve"; readonly group: string }
  | { readonly kind: "edit" }
  | { readonly kind: "restart" };

const values = fc.dictionary(fc.constantFrom(...GROUPS), fc.integer({ min: 0, max: 9 }), {
  maxKeys: 3,
  noNullPrototype: true,
});
const group = fc.constantFrom(...GROUPS);
const of = <Kind extends string, More extends Record<string, fc.Arbitrary<unknown>>>(kind: Kind, more: More) =>
  fc.record({ kind: fc.constant(kind), ...more });
const pause = fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 3 }));

const forwards = [
  { weight: 10, arbitrary: of("window", { pause, values, isLate: fc.boolean() }) },
  { weight: 3, arbitrary: of("burst", { list: fc.array(values, { minLength: 2, maxLength: 4 }) }) },
  { weight: 3, arbitrary: of("open", { ahead: fc.integer({ min: 1, max: 3 }), values }) },
  { weight: 3, arbitrary: of("again", { back: fc.nat(4) }) },
  { weight: 6, arbitrary: of("pass", { minutes: fc.integer({ min: 1, max: 12 }), isPunctual: fc.boolean() }) },
  { weight: 2, arbitrary: of("silence", { group, from: fc.nat(6), length: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 1, arbitrary: of("acknowledge", { group }) },
  { weight: 1, arbitrary: of("resolve", { group }) },
  { weight: 1, arbitrary: of("edit", {}) },
  { weight: 2, arbitrary: of("restart", {}) },
] as const;

/** A window as the aggregator tells it. */
const minuteOf = (end: number, seen: Values): ClosedWindow => ({ ...windowOf(end, seen), stepMs: MINUTE });

/** One group as a person would keep it by hand, minute by minute. */
class Diary {
  readonly #forMinutes: number;
  readonly #keepMinutes: number;
  isFiring = false;
  #trueSince: number | null = null;
  #falseSince: number | null = null;
  /** The open window that fired it ends then: until its close nothing refutes it. */
  #ahead: number | null = null;
  /** Somebody resolved it: nothing opens in windows up to then. */
  #settled = -Infinity;

  constructor(forMinutes: number, keepMinutes: number) {
    this.#forMinutes = forMinutes;
    this.#keepMinutes = keepMinutes;
  }

  note(minute: number, holds: boolean): void {
    if (this.#ahead !== null && minute < this.#ahead) return;
    if (!holds) return this.#refute(minute);
    this.#ahead = null;
    if (this.#trueSince === null && minute <= this.#settled) return;
    this.#trueSince ??= minute;
    this.#falseSince = null;
    if (minute - this.#trueSince >= this.#forMinutes) this.isFiring = true;
  }

  #refute(minute: number): void {
    this.#ahead = null;
    if (this.#trueSince === null) return;
    this.#falseSince ??= minute;
    if (!this.isFiring || minute - this.#falseSince >= this.#keepMinutes) this.clear();
  }

  early(minute: number): void {
    if (this.#forMinutes > 0 || this.#trueSince !== null || minute <= this.#settled) return;
    this.#trueSince = minute;
    this.#ahead = minute;
    this.isFiring = true;
  }

  resolve(cursor: number): void {
    if (this.#trueSince === null) return;
    this.#settled = Math.max(this.#settled, cursor, this.#shown);
    this.clear();
  }

  /** The newest window in which it held. */
  #shown = -Infinity;
  shown(minute: number): void {
    if (this.#trueSince !== null) this.#shown = Math.max(this.#shown, minute);
  }

  /** @param forgets also what was resolved by hand */
  clear(forgets = false): void {
    this.#trueSince = null;
    this.#falseSince = null;
    this.#ahead = null;
    this.isFiring = false;
    this.#shown = -Infinity;
    if (forgets) this.#settled = -Infinity;
  }
}

/** What should be heard of one group, from when it fires and when it is kept quiet. */
class Listener {
  readonly log: string[] = [];
  #isFiring = false;
  #wasTold = false;
  #isTaken = false;
  #steps: number[] = [];
  readonly #escalation: number | null;

  constructor(escalation: number | null) {
    this.#escalation = escalation;
  }

  /** @returns the next time at which something happens by itself */
  get due(): number | null {
    return this.#isTaken ? null : (this.#steps[0] ?? null);
  }

  /** Call it whenever something may have changed. */
  see(now: number, isFiring: boolean, isMuted: boolean): void {
    if (isFiring && !this.#isFiring) {
      this.#wasTold = false;
      this.#isTaken = false;
      this.#steps = [];
    }
    if (!isFiring && this.#isFiring && this.#wasTold) this.log.push(`${now} resolved`);
    this.#isFiring = isFiring;
    if (!isFiring) this.#steps = [];
    if (!isFiring || isMuted) return;
    if (!this.#wasTold) {
      this.#wasTold = true;
      this.log.push(`${now} firing`);
      if (this.#escalation !== null && !this.#isTaken) this.#steps = [now + this.#escalation];
      return;
    }
    const step = this.#steps[0];
    if (step === undefined || step > now || this.#isTaken) return;
    this.#steps = [];
    this.log.push(`${now} escalated`);
  }

  take(): void {
    if (this.#isFiring) this.#isTaken = true;
  }
}

interface Plan {
  readonly forMinutes: number;
  readonly keepMinutes: number;
  readonly escalation: number | null;
}

/** Runs events against the world and, minute by minute, against diaries and listeners. */
class Model {
  readonly world: World;
  readonly diaries: ReadonlyMap<string, Diary>;
  readonly listeners: ReadonlyMap<string, Listener>;
  readonly #silences: { group: string; from: number; to: number }[] = [];
  readonly #opened = new Map<number, Values>();
  readonly #told: { end: number; values: Values }[] = [];
  #cursor = 0;
  #now = 0;

  /** @param more of the rule, beside what the plan says */
  constructor({ forMinutes, keepMinutes, escalation }: Plan, more: Partial<RuleSpec> = {}) {
    this.world = new World({
      ...more,
      for: `${forMinutes}m`,
      keep_firing_for: `${keepMinutes}m`,
      ...(escalation === null ? {} : { escalation_minutes: escalation, escalation_channels: ["chief"] }),
    });
    this.diaries = new Map(GROUPS.map((name) => [name, new Diary(forMinutes, keepMinutes)]));
    this.listeners = new Map(GROUPS.map((name) => [name, new Listener(escalation)]));
  }

  run(event: Event): void {
    switch (event.kind) {
      case "window":
        return this.#window(event.pause, event.values, event.isLate);
      case "burst":
        return this.world.close(...event.list.map((seen) => this.#next(0, seen)));
      case "open":
        return this.#open(event.ahead, event.values);
      case "again": {
        const told = this.#told.at(-1 - event.back);
        if (told !== undefined) this.world.close(minuteOf(told.end, told.values));
        return;
      }
      case "pass":
        return this.pass(event.minutes, event.isPunctual);
      case "step back":
        this.#now = Math.max(0, this.#now - event.minutes);
        this.world.now = this.#now * MINUTE;
        return;
      case "silence":
        return this.#silence(event.group, this.#now + event.from, event.length);
      case "acknowledge":
        this.listeners.get(event.group)?.take();
        return this.world.acknowledge(event.group);
      case "resolve":
        this.diaries.get(event.group)?.resolve(this.#cursor);
        this.world.resolve(event.group);
        return this.see();
      case "edit":
        for (const diary of this.diaries.values()) diary.clear(true);
        this.world.edit();
        return this.see();
      case "restart":
        return this.world.restart();
    }
  }

  #window(pauses: number, seen: Values, isLate: boolean): void {
    this.world.close(this.#next(pauses, seen));
    // One that was overtaken says nothing any more.
    if (isLate && pauses > 0) this.world.close(minuteOf(this.#cursor - 1, { a: 9, b: 0 }));
  }

  /** The next window to close, as the diaries have it. */
  #next(pauses: number, seen: Values): ClosedWindow {
    const end = this.#cursor + pauses + 1;
    // An open window only grows.
    const whole = { ...seen, ...this.#opened.get(end) };
    const isFirst = this.#told.length === 0;
    for (let minute = isFirst ? end : this.#cursor + 1; minute <= end; minute++) {
      for (const [name, diary] of this.diaries) {
        const holds = minute === end && (whole[name] ?? 0) > THRESHOLD;
        diary.note(minute, holds);
        if (holds) diary.shown(minute);
      }
      this.see();
    }
    this.#cursor = end;
    this.#told.push({ end, values: whole });
    return minuteOf(end, whole);
  }

  #open(ahead: number, seen: Values): void {
    const end = this.#cursor + ahead;
    const holding = Object.fromEntries(Object.entries(seen).filter(([, value]) => value > THRESHOLD));
    this.#opened.set(end, { ...this.#opened.get(end), ...holding });
    for (const name of Object.keys(holding)) {
      const diary = this.diaries.get(name);
      const wasFiring = diary?.isFiring;
      diary?.early(end);
      if (wasFiring === false && diary?.isFiring === true) diary.shown(end);
    }
    this.world.open(minuteOf(end, holding));
    this.see();
  }

  #silence(name: string, from: number, length: number): void {
    this.#silences.push({ group: name, from, to: from + length });
    const matchers = [{ name: "instance", op: "=" as const, value: name }];
    const times = { startsAt: from * MINUTE, endsAt: (from + length) * MINUTE, createdAt: 0 };
    this.world.silence({ id: String(this.#silences.length), matchers, ...times, comment: "", createdBy: null });
    this.see();
  }

  /** Lets time pass; the alarm comes whenever it is due, or once at the end. */
  pass(minutes: number, isPunctual: boolean): void {
    const to = this.#now + minutes;
    if (isPunctual) this.#minuteByMinute(to);
    this.#now = to;
    this.world.now = to * MINUTE;
    if ((this.world.dueAt ?? Infinity) <= this.world.now) this.world.alarm();
    this.see();
  }

  #minuteByMinute(to: number): void {
    for (let due = this.world.dueAt; due !== null && due <= to * MINUTE; due = this.world.dueAt) {
      // A clock that was set back does not go back again for what was due meanwhile.
      this.world.now = Math.max(this.world.now, due);
      this.world.alarm();
    }
    for (let minute = this.#now + 1; minute <= to; minute++) {
      this.#now = minute;
      this.see();
    }
  }

  see(): void {
    for (const [name, listener] of this.listeners) {
      const isMuted = this.#silences.some((one) => one.group === name && one.from <= this.#now && this.#now < one.to);
      listener.see(this.#now, this.diaries.get(name)?.isFiring === true, isMuted);
    }
  }

  heard(name: string): string[] {
    const own = this.world.heard.filter((one) => one.group === name && one.what !== "resolved to the chain");
    return own.map(({ at, what }) => `${at / MINUTE} ${what}`);
  }
}

const plan: fc.Arbitrary<Plan> = fc.record({
  forMinutes: fc.constantFrom(0, 0, 1, 3),
  keepMinutes: fc.constantFrom(0, 0, 2),
  escalation: fc.option(fc.constantFrom(2, 5)),
});

test("whatever happens while the clock goes forward, exactly what an oracle expects is heard, when it expects it", () => {
  const events = fc.array(fc.oneof(...forwards), { maxLength: 40 });
  const property = fc.property(plan, events, (how, list) => {
    const model = new Model(how);
    for (const event of list as readonly Event[]) model.run(event);
    model.pass(60, true);
    for (const [name, listener] of model.listeners) expect(model.heard(name)).toEqual(listener.log);
    expect(
      new Set(model.world.heard.map(({ messageId, what, alertId }) => `${messageId} ${what} ${alertId}`)).size,
    ).toBe(model.world.heard.length);
  });
  fc.assert(property, { numRuns: 2_000 });
});

test("also when the clock is set back, nothing is told twice and nothing is forgotten, alone or in bundles", () => {
  const events = fc.array(
    fc.oneof(...forwards, { weight: 3, arbitrary: of("step back", { minutes: fc.integer({ min: 1, max: 20 }) }) }),
    { maxLength: 40 },
  );
  const bundles = fc.constantFrom<Partial<RuleSpec>[]>(
    {},
    { group_by: [], group_wait: "1m", group_interval: "3m" },
    { group_by: ["instance"], group_wait: "0s", group_interval: "5m" },
    { suppression_minutes: 4 },
    { flapping: { firings: 3, within: "6m" } },
    { notify_resolved: false },
  );
  const property = fc.property(bundles, events, (more, list) => {
    const model = new Model({ forMinutes: 0, keepMinutes: 0, escalation: null }, more);
    const { world } = model;
    for (const event of list as readonly Event[]) model.run(event);
    // Long enough for every silence, interval and suppression, whatever the clock did.
    for (let k = 0; k < 10; k++) model.pass(30, true);
    const times = (kind: string, id: string): number =>
      world.heard.filter(({ what, alertId }) => what === kind && alertId === id).length;
    const ids = new Set(world.heard.map(({ alertId }) => alertId));
    for (const id of ids) {
      const isOver = world.alert(id)?.status === "resolved";
      expect(times("resolved", id)).toBe(isOver && world.spec.notify_resolved ? 1 : 0);
      expect(times("firing", id)).toBeGreaterThan(0);
      if (!("group_by" in more)) expect(times("firing", id)).toBe(1);
    }
    for (const id of world.firingIds.values()) expect(times("firing", id)).toBeGreaterThan(0);
    expect(world.firingIds.size).toBe([...model.diaries.values()].filter(({ isFiring }) => isFiring).length);
    expect(world.dueAt).toBeNull();
  });
  fc.assert(property, { numRuns: 2_000 });
});
