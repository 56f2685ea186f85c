import type { StreamEvent } from "../../../core/events/event.ts";

/** A window as a recount finds it: all groups of a tumbling or hopping one, or one session of one group. */
export interface Recounted {
  readonly start: number;
  readonly end: number;
  /** JSON text of the group's values, or null for a window of all groups. */
  readonly session: string | null;
  readonly revision: number;
  readonly events: readonly StreamEvent[];
}

/** An aggregation in the plainest terms: which events it counts, their group, and their windows. */
export interface Recount {
  readonly counts: (event: StreamEvent) => boolean;
  /** JSON text of the list of group values. */
  readonly groupOf: (event: StreamEvent) => string;
  /** Windows of one event as [start, end), or the gap of sessions. */
  readonly windows: { readonly of: (timestamp: number) => (readonly [number, number])[] } | { readonly gapMs: number };
}

/** Windows recounted from all events after every call. Nothing is merged or kept up to date, so nothing can be forgotten. */
export class BatchRecount {
  windows: readonly Recounted[] = [];
  readonly #recount: Recount;
  #events: readonly StreamEvent[] = [];

  constructor(recount: Recount) {
    this.#recount = recount;
  }

  /** Takes one call's events. @returns windows to be told at once: those that are closed by `watermark` and changed */
  take(events: readonly StreamEvent[], watermark: number): Recounted[] {
    const fresh = new Set(events.filter(this.#recount.counts));
    const before = this.windows;
    this.#events = [...this.#events, ...fresh];
    const found = "of" in this.#recount.windows ? this.#aligned(this.#recount.windows.of) : this.#sessions();
    const isTouched = (window: Recounted): boolean => window.events.some((event) => fresh.has(event));
    this.windows = found.map((window) => ({ ...window, revision: revisionOf(window, before, watermark, isTouched) }));
    return this.windows.filter((window) => window.end <= watermark && isTouched(window)).sort(byEnd);
  }

  /** @returns windows that close as the watermark moves */
  advance(from: number, to: number): Recounted[] {
    return this.windows.filter(({ end }) => from < end && end <= to).sort(byEnd);
  }

  #aligned(windowsOf: (timestamp: number) => (readonly [number, number])[]): Recounted[] {
    const byStart = new Map<number, Recounted & { readonly events: StreamEvent[] }>();
    for (const event of this.#events) {
      for (const [start, end] of windowsOf(event.timestamp)) {
        const known = byStart.get(start);
        if (known === undefined) byStart.set(start, { start, end, session: null, revision: 0, events: [event] });
        else known.events.push(event);
      }
    }
    return [...byStart.values()];
  }

  #sessions(): Recounted[] {
    const { windows, groupOf } = this.#recount;
    const gapMs = "gapMs" in windows ? windows.gapMs : Number.NaN;
    return [...Map.groupBy(this.#events, groupOf)].flatMap(([session, events]) => {
      const runs: StreamEvent[][] = [];
      for (const event of events.toSorted((a, b) => a.timestamp - b.timestamp)) {
        const last = runs.at(-1)?.at(-1);
        if (last !== undefined && event.timestamp - last.timestamp < gapMs) runs.at(-1)?.push(event);
        else runs.push([event]);
      }
      return runs.map((run) => {
        const start = run[0]?.timestamp ?? Number.NaN;
        return { start, end: (run.at(-1)?.timestamp ?? Number.NaN) + gapMs, session, revision: 0, events: run };
      });
    });
  }
}

/** The largest revision of what it was before, and one more if it was touched and any of that had closed. */
function revisionOf(
  window: Recounted,
  before: readonly Recounted[],
  watermark: number,
  isTouched: (window: Recounted) => boolean,
): number {
  const parts = before.filter(({ start, session, events: [first] }) =>
    session === null
      ? start === window.start
      : session === window.session && first !== undefined && window.events.includes(first),
  );
  const revision = Math.max(0, ...parts.map((part) => part.revision));
  return isTouched(window) && parts.some(({ end }) => end <= watermark) ? revision + 1 : revision;
}

function byEnd(a: Recounted, b: Recounted): number {
  return a.end - b.end || a.start - b.start || ((a.session ?? "") < (b.session ?? "") ? -1 : 1);
}
