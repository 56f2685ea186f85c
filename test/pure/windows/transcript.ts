import { EventBatch } from "../../../core/events/event-batch.ts";
import type { StreamEvent } from "../../../core/events/event.ts";
import { groupJson, NOTHING_LOADED, valuesOf } from "../../../core/windows/aggregation.ts";
import type { Definition } from "../../../core/windows/definition.ts";
import { type Effect, ShardMachine } from "../../../core/windows/shard-machine.ts";
import { allRows, plan } from "./simulated-shard.ts";

/** A window of one key, as it was told: values are the events' times. Times are in the transcript's unit, from its zero. */
export interface Told {
  readonly window: readonly [start: number, end: number];
  readonly values: readonly number[];
  readonly key?: string;
  /** 0 for the first time, when left out. */
  readonly revision?: number;
  /** The first and the last of `values`, unless said otherwise. */
  readonly earliest?: number;
  readonly latest?: number;
}

/**
 * One step: events in one call, by time or as [key, time]; the watermark moves, so that nothing earlier is expected; what must
 * have been told by the step before, all of it; or what must be there now, told or not. What is told and not named by the next step
 * is a mistake.
 */
export type Step =
  | { readonly input: readonly (number | readonly [key: string, at: number])[] }
  | { readonly watermark: number }
  | { readonly told: readonly Told[] }
  | { readonly there: readonly Told[] };

export interface Transcript {
  readonly name: string;
  readonly window: Definition["window"];
  readonly allowedLateness?: string;
  /** Ms per unit of time. */
  readonly unit: number;
  readonly steps: readonly Step[];
}

/** The zero of transcripts: a multiple of every size they use. */
const ZERO = Date.parse("2015-05-17T00:00:00Z");

/** What a step expects and what was found, both in the same order. */
export function runTranscript(transcript: Transcript): Check[] {
  const run = new Run(transcript);
  return [...transcript.steps.flatMap((step) => run.take(step)), ...run.untold()];
}

interface Check {
  readonly expected: unknown;
  readonly found: unknown;
}

class Run {
  readonly #unit: number;
  readonly #machine: ShardMachine;
  #told: unknown[] = [];
  #events = 0;

  constructor({ window, allowedLateness, unit }: Transcript) {
    this.#unit = unit;
    const definition: Definition = {
      name: "transcript",
      window,
      filter: "event.source != 'clock'",
      group_by: ["data.key"],
      measures: {
        events: { fn: "count" },
        total: { fn: "sum", field: "data.at" },
        earliest: { fn: "min", field: "data.at" },
        latest: { fn: "max", field: "data.at" },
      },
      out_of_orderness: "0s",
      allowed_lateness: allowedLateness ?? "400d",
    };
    this.#machine = new ShardMachine(undefined, [{ id: 1, plan: plan(definition) }], NOTHING_LOADED, () => {});
    this.#fold([this.#event("clock", -1000, ZERO - 1000 * unit)]);
  }

  take(step: Step): Check[] {
    if ("input" in step) {
      const unexpected = this.untold();
      const events = step.input.map((item) => {
        const [key, at] = typeof item === "number" ? ["", item] : item;
        // Received long ago: such a source lies behind the watermark and never moves it.
        return this.#event("data", at, 0, key);
      });
      this.#fold(events);
      return unexpected;
    }
    if ("watermark" in step) {
      const unexpected = this.untold();
      const at = ZERO + step.watermark * this.#unit;
      this.#fold([this.#event("clock", step.watermark, at)]);
      return unexpected;
    }
    if ("there" in step)
      return [{ expected: sorted(step.there.map((one) => this.#expectation(one))), found: sorted(this.#there()) }];
    const found = sorted(this.#told);
    this.#told = [];
    return [{ expected: sorted(step.told.map((one) => this.#expectation(one))), found }];
  }

  /** What was told and no step has asked for. */
  untold(): Check[] {
    const found = sorted(this.#told);
    this.#told = [];
    return found.length === 0 ? [] : [{ expected: [], found }];
  }

  #event(source: string, at: number, receivedAt: number, key = ""): StreamEvent {
    const timestamp = ZERO + at * this.#unit;
    const id = `e${this.#events++}`;
    return { id, type: "t", source, timestamp, receivedAt, severity: "low", data: { key, at }, metadata: {} };
  }

  #fold(events: readonly StreamEvent[]): void {
    const batch = EventBatch.fromEvents(events);
    for (const effect of this.#machine.fold(batch, allRows(batch)))
      this.#told.push(...effect.emitted.flatMap((window) => this.#shown(effect.aggregation, window)));
  }

  #there(): unknown[] {
    return [...this.#machine.aggregations.values()].flatMap((aggregation) =>
      [...aggregation.windows.list(-Infinity, Infinity, () => [])].flatMap((window) =>
        this.#shown(aggregation, window),
      ),
    );
  }

  #shown({ plan: planned }: Effect["aggregation"], window: Effect["emitted"][number]): unknown[] {
    return [...window.groups.values()].map((group) => ({
      start: (window.start - ZERO) / this.#unit,
      end: (window.end - ZERO) / this.#unit,
      key: groupJson(planned, group.key)["data.key"],
      revision: window.revision,
      ...valuesOf(planned, group, 1),
    }));
  }

  #expectation({ window: [start, end], values, key = "", revision = 0, earliest, latest }: Told): unknown {
    const total = values.reduce((sum, value) => sum + value, 0);
    const span = { earliest: earliest ?? Math.min(...values), latest: latest ?? Math.max(...values) };
    return { start, end, key, revision, events: values.length, total, ...span };
  }
}

function sorted(list: readonly unknown[]): unknown[] {
  return list.map((item) => JSON.stringify(item)).sort();
}
