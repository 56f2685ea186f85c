import { EventBatch } from "../../core/events/event-batch.ts";
import { toEventJson } from "../../core/events/json.ts";
import { OverviewMeter } from "../../core/live/overview-meter.ts";
import type {
  DashboardSnapshot,
  EventJson,
  PublishedFrame,
  Topic,
  TopicSnapshot,
  WindowJson,
} from "../../core/live/protocol.ts";
import { MAX_SHARDS } from "../../core/windows/slot-map.ts";
import { FRAME_INTERVAL_MS } from "../../core/live/topic-log.ts";
import type { Aggregation } from "../../core/windows/aggregation.ts";
import type { DeltaNews } from "../../core/windows/delta.ts";
import type { Effect, ShardMachine } from "../../core/windows/shard-machine.ts";
import { goneJson, windowJson } from "../../core/windows/window-json.ts";
import type { WindowName, WindowView } from "../../core/windows/window-set.ts";

/** Events in the snapshot of the latest ones. */
export const LATEST_EVENTS = 50;
const EVENTS_PER_FRAME = 20;
/** Windows (one per group) in one frame, newest first. A single window of more groups than this is cut. */
const WINDOWS_PER_FRAME = 200;

/** Who watches what, for how long (epoch ms). */
export interface Watch {
  readonly topics: readonly string[];
  readonly untilMs: number;
}

export interface LiveFeedDeps {
  readonly publish: (frames: readonly PublishedFrame[]) => Promise<void>;
  /** Runs `work` after `delayMs`, with the object's input gate in the usual way. */
  readonly later: (work: () => void, delayMs: number) => void;
  readonly now: () => number;
  readonly report: (what: string, error: unknown) => void;
}

interface EventRow {
  readonly batch: EventBatch;
  readonly row: number;
}

/** What readers of one aggregation have not been told yet, by window. */
interface Untold {
  readonly windows: Map<string, WindowView>;
  readonly gone: Map<string, WindowName>;
}

/** Collects what changed and sends it to the live hub, at most four times a second and only while somebody watches. */
export class LiveFeed {
  readonly #machine: ShardMachine;
  readonly #deps: LiveFeedDeps;
  readonly #meter = new OverviewMeter();
  #latest: EventRow[] = [];
  #unsentEvents = 0;
  readonly #changed = new Map<Aggregation, Untold>();
  #topics = new Set<string>();
  #watchedUntil = 0;
  /** Not before this, epoch ms. */
  #nextFrameAt = 0;
  #isScheduled = false;

  constructor(machine: ShardMachine, deps: LiveFeedDeps, watch: Watch | undefined) {
    this.#machine = machine;
    this.#deps = deps;
    if (watch !== undefined) this.watch(watch);
  }

  get hasEvents(): boolean {
    return this.#latest.length > 0;
  }

  watch({ topics, untilMs }: Watch): void {
    this.#topics = new Set(topics);
    this.#watchedUntil = untilMs;
  }

  /** Notes events that were just counted. */
  note(batch: EventBatch, rows: Uint32Array): void {
    this.recall(batch, rows);
    this.#unsentEvents += rows.length;
  }

  /** Takes up events from before a restart: readers have had them. */
  recall(batch: EventBatch, rows: Uint32Array): void {
    if (rows.length === 0) return;
    this.#meter.add(batch, rows);
    const added = [...rows.subarray(-LATEST_EVENTS)].map((row) => ({ batch, row }));
    this.#latest = [...this.#latest, ...added].slice(-LATEST_EVENTS);
  }

  /** Notes what a shard counted, merged just now. */
  noteDelta(delta: DeltaNews): void {
    this.recallDelta(delta);
    this.#unsentEvents += delta.to - delta.from;
  }

  /** Takes up what a shard counted before a restart. */
  recallDelta({ overview, latest }: DeltaNews): void {
    this.#meter.absorb(overview);
    if (latest === "") return;
    const batch = EventBatch.fromText(latest);
    const added = Array.from({ length: batch.length }, (_, row) => ({ batch, row }));
    // The last of each shard, or one shard's would push out the others'.
    this.#latest = [...this.#latest, ...added].slice(-LATEST_EVENTS * MAX_SHARDS);
  }

  noteEffects(effects: readonly Effect[]): void {
    if (!this.#isWatched()) return;
    for (const { aggregation, touched, gone } of effects) {
      if (!this.#topics.has(topicOf(aggregation))) continue;
      const untold = this.#changed.get(aggregation) ?? { windows: new Map(), gone: new Map() };
      for (const name of gone) {
        untold.windows.delete(textOf(name));
        untold.gone.set(textOf(name), name);
      }
      for (const window of touched) untold.windows.set(textOf(window), window);
      this.#changed.set(aggregation, untold);
    }
  }

  /** An aggregation is gone, or another has its name. */
  forget(aggregation: Aggregation): void {
    this.#changed.delete(aggregation);
  }

  /** Arranges for a frame if one is wanted and none is due already. */
  schedule(): void {
    if (this.#isScheduled || !this.#isWatched()) return;
    this.#isScheduled = true;
    this.#waitForTurn();
  }

  #waitForTurn(): void {
    const turn = (): void => {
      // The last frame may have arrived meanwhile.
      if (this.#deps.now() < this.#nextFrameAt) this.#waitForTurn();
      else this.#tell();
    };
    this.#deps.later(turn, Math.max(0, this.#nextFrameAt - this.#deps.now()));
  }

  #tell(): void {
    this.#isScheduled = false;
    const frames = this.#frames();
    this.#holdNext();
    if (frames.length > 0) {
      this.#deps
        .publish(frames)
        .catch((error: unknown) => this.#deps.report("publish", error))
        .finally(() => this.#holdNext());
    }
    if (this.#changed.size > 0) this.schedule();
  }

  /**
   * The hub counts the interval from when a frame arrived there. Counted from when it was sent, one frame that was long on its way would
   * make all those after it wait at the hub for as long.
   */
  #holdNext(): void {
    this.#nextFrameAt = this.#deps.now() + FRAME_INTERVAL_MS;
  }

  /** The state a new reader starts from, or null when there is no such topic here. */
  snapshot(topic: Topic): TopicSnapshot | null {
    if (topic === "events") return { events: this.#newestReceived() };
    if (topic === "dashboard:overview") return this.#overview(this.#meter.seconds(this.#deps.now()));
    const aggregation = [...this.#machine.aggregations.values()].find((candidate) => topicOf(candidate) === topic);
    if (aggregation === undefined) return null;
    return {
      name: aggregation.plan.definition.name,
      watermark: watermarkOf(aggregation),
      windows: newestFirst(aggregation, new Set(aggregation.windows.recent())),
    };
  }

  #isWatched(): boolean {
    return this.#topics.size > 0 && this.#deps.now() < this.#watchedUntil;
  }

  #frames(): PublishedFrame[] {
    const frames: PublishedFrame[] = [];
    for (const [aggregation, untold] of this.#changed) {
      const waiting = new Set(untold.windows.values());
      const windows = newestFirst(aggregation, waiting);
      const gone = [...untold.gone.values()].map((name) => goneJson(aggregation, name));
      const data = { watermark: watermarkOf(aggregation), windows, ...(gone.length === 0 ? {} : { gone }) };
      frames.push({ topic: topicOf(aggregation), data });
      if (waiting.size === 0) this.#changed.delete(aggregation);
      else this.#changed.set(aggregation, { windows: byName(waiting), gone: new Map() });
    }
    if (this.#topics.has("events") && this.#unsentEvents > 0) {
      const events = this.#newest(Math.min(this.#unsentEvents, EVENTS_PER_FRAME));
      frames.push({ topic: "events", data: { events, skipped: this.#unsentEvents - events.length } });
    }
    this.#unsentEvents = 0;
    if (this.#topics.has("dashboard:overview")) {
      frames.push({ topic: "dashboard:overview", data: this.#overview(this.#meter.takeChanged(this.#deps.now())) });
    }
    return frames;
  }

  #overview(seconds: DashboardSnapshot["seconds"]): DashboardSnapshot {
    const minutes = this.#machine.aggregations.get("events_1m");
    return {
      seconds,
      facets: this.#meter.facets(this.#deps.now()),
      watermark: minutes === undefined ? null : watermarkOf(minutes),
      totals: {
        events: this.#machine.stats.total,
        duplicates: this.#machine.allDuplicates,
        late: minutes?.lateEvents ?? 0,
      },
    };
  }

  /** Shards tell one after another what they took at the same time. */
  #newestReceived(): EventJson[] {
    this.#latest.sort((a, b) => receivedAt(a) - receivedAt(b));
    return this.#newest(LATEST_EVENTS);
  }

  #newest(count: number): EventJson[] {
    return this.#latest
      .slice(-count)
      .reverse()
      .map(({ batch, row }) => toEventJson(batch.event(row)));
  }
}

function topicOf(aggregation: Aggregation): `aggregation:${string}` {
  return `aggregation:${aggregation.plan.definition.name}`;
}

export function watermarkOf(aggregation: Aggregation): number | null {
  return Number.isFinite(aggregation.watermark) ? aggregation.watermark : null;
}

/** Takes from `windows`, newest first, as many as one frame may hold; what is left waits for the next one. */
function newestFirst(aggregation: Aggregation, windows: Set<WindowView>): WindowJson[] {
  const shown: WindowJson[] = [];
  for (const window of [...windows].sort((a, b) => b.start - a.start)) {
    const entries = windowJson(aggregation, window, WINDOWS_PER_FRAME);
    if (shown.length > 0 && shown.length + entries.length > WINDOWS_PER_FRAME) break;
    shown.push(...entries);
    windows.delete(window);
  }
  return shown.slice(0, WINDOWS_PER_FRAME);
}

const receivedAt = ({ batch, row }: EventRow): number => batch.receivedAt[row] ?? 0;

const textOf = ({ start, session }: WindowName): string => `${start} ${session ?? ""}`;

function byName(windows: Iterable<WindowView>): Map<string, WindowView> {
  return new Map([...windows].map((window) => [textOf(window), window]));
}
