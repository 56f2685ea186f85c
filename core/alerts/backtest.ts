// One rule over stored windows: when it would have fired, and the series that it looked at.
import type { ClosedWindow } from "../windows/window-json.ts";
import type { Trouble } from "./aggregation-rules.ts";
import { groupKey } from "./group.ts";
import type { Group, Values } from "./group.ts";
import { Replay } from "./replay.ts";
import type { ReplayedAlert } from "./replay.ts";
import type { RuleLogic } from "./rule-logic.ts";

/** Windows of one backtest, empty ones that matter among them: a week of minutes, a year of hours. */
export const MAX_BACKTEST_WINDOWS = 10_080;
/** Groups of all its windows together. */
export const MAX_BACKTEST_GROUPS = 200_000;
/** Series in the answer: of groups with alerts first, then of those with the most windows. */
export const MAX_SERIES = 20;
/** Points of one series in the answer; of more, one in so many is shown, one that fires before one that does not. */
export const MAX_POINTS = 1_000;
/** Alerts in the answer, the oldest first. All are counted. */
const MAX_BACKTEST_ALERTS = 1_000;

/** What a rule makes of one group in one window. */
export type PointState = "inactive" | "pending" | "firing";

/** A group in one window. */
export interface Point {
  /** Of the window, epoch ms. */
  readonly start: number;
  readonly end: number;
  /** Of the measures that the rule reads. */
  readonly values: Values;
  readonly state: PointState;
}

/** A group over time. */
export interface Series {
  readonly group: Group;
  readonly points: readonly Point[];
}

/** What a rule would have done. Lists are cut to their limits; the counts beside them are not. */
export interface BacktestResult {
  readonly alerts: readonly ReplayedAlert[];
  readonly alertsInAll: number;
  /** Of them, how many fired. */
  readonly fired: number;
  readonly series: readonly Series[];
  readonly groupsInAll: number;
  /** Windows evaluated, and the end (epoch ms) of the newest; null when there was none. */
  readonly windows: number;
  readonly through: number | null;
  readonly trouble: Trouble;
}

/** There is more than one backtest may read. */
export class BacktestTooLarge extends Error {
  readonly limit: number;

  constructor(limit: number, what: string) {
    super(`the range holds more than ${limit} ${what}; narrow it`);
    this.name = "BacktestTooLarge";
    this.limit = limit;
  }
}

interface Track {
  readonly group: Group;
  readonly points: Point[];
}

/** A backtest under way: give it the windows in order of end, then ask for its result. */
export class Backtest {
  readonly #rule: RuleLogic;
  readonly #replay: Replay;
  readonly #measures: readonly string[];
  readonly #tracks = new Map<string, Track>();
  #windows = 0;
  #groups = 0;
  #through: number | null = null;

  constructor(rule: RuleLogic) {
    this.#rule = rule;
    this.#replay = new Replay([rule]);
    this.#measures = [...new Set([...rule.condition.measures, ...(rule.resolve?.measures ?? [])])];
  }

  /** @throws BacktestTooLarge */
  take(window: ClosedWindow): void {
    if (this.#through !== null && window.stepMs !== undefined) {
      this.passTime(window.end - window.stepMs, window);
    }
    this.#step(window);
  }

  /**
   * Time without events passes up to `through`: alerts end in it, and groups are missed.
   * @param through epoch ms @throws BacktestTooLarge
   */
  passTime(
    through: number,
    { aggregation, version, stepMs }: Pick<ClosedWindow, "aggregation" | "version" | "stepMs">,
  ): void {
    if (this.#through === null || stepMs === undefined) return;
    for (let start = this.#through; start + stepMs <= through && this.#replay.awaitsTime; start += stepMs) {
      this.#step({ aggregation, version, start, end: start + stepMs, revision: 0, groups: [], stepMs });
    }
  }

  result(): BacktestResult {
    const { alerts } = this.#replay;
    return {
      alerts: alerts.slice(0, MAX_BACKTEST_ALERTS),
      alertsInAll: alerts.length,
      fired: alerts.filter(({ firedAt }) => firedAt !== null).length,
      series: this.#series(alerts),
      groupsInAll: this.#tracks.size,
      windows: this.#windows,
      through: this.#through,
      trouble: this.#replay.trouble(this.#rule.id),
    };
  }

  #step(window: ClosedWindow): void {
    this.#windows++;
    this.#groups += window.groups.length;
    if (this.#windows > MAX_BACKTEST_WINDOWS) throw new BacktestTooLarge(MAX_BACKTEST_WINDOWS, "windows");
    if (this.#groups > MAX_BACKTEST_GROUPS) throw new BacktestTooLarge(MAX_BACKTEST_GROUPS, "groups of windows");
    this.#replay.take(window);
    this.#through = window.end;
    const open = this.#replay.open(this.#rule.id);
    for (const { group, values } of window.groups) {
      const key = groupKey(group);
      const track = this.#tracks.get(key) ?? { group, points: [] };
      this.#tracks.set(key, track);
      const state = open.get(key)?.timer.phase ?? "inactive";
      track.points.push({ start: window.start, end: window.end, values: this.#read(values), state });
    }
  }

  #read(values: Values): Values {
    return Object.fromEntries(this.#measures.map((name) => [name, values[name] ?? null]));
  }

  #series(alerts: readonly ReplayedAlert[]): Series[] {
    const alerting = new Set(alerts.map(({ group }) => groupKey(group)));
    const ranked = [...this.#tracks].sort(
      ([a, one], [b, other]) =>
        Number(alerting.has(b)) - Number(alerting.has(a)) || other.points.length - one.points.length,
    );
    return ranked.slice(0, MAX_SERIES).map(([, { group, points }]) => ({ group, points: thinned(points) }));
  }
}

const RANK = { inactive: 0, pending: 1, firing: 2 } as const;

/** One point in so many: the one in which the rule had most to say. */
function thinned(points: readonly Point[]): readonly Point[] {
  const size = Math.ceil(points.length / MAX_POINTS);
  if (size <= 1) return points;
  const shown: Point[] = [];
  for (let from = 0; from < points.length; from += size) {
    const few = points.slice(from, from + size);
    shown.push(few.reduce((best, point) => (RANK[point.state] > RANK[best.state] ? point : best)));
  }
  return shown;
}
