import type { EventBatch } from "../events/event-batch.ts";

/** How far events of a source have come. Times are epoch ms. */
export interface SourceMark {
  readonly name: string;
  /** Newest min(timestamp, receive time). */
  readonly newest: number;
  /** Newest receive stamp. */
  readonly lastReceived: number;
}

interface Marks {
  newest: number;
  lastReceived: number;
}

/** The marks of the sources in a batch's rows, by name: as many as are named there. */
export class SourceMarks {
  readonly #byName = new Map<string, Marks>();

  add(batch: EventBatch, rows: Uint32Array): void {
    const { values, index } = batch.column(["source"]);
    const known = values.map((): Marks | undefined => undefined);
    for (const row of rows) {
      const position = index[row] ?? 0;
      const marks = (known[position] ??= this.#of(String(values[position])));
      const receivedAt = batch.receivedAt[row] ?? 0;
      marks.newest = Math.max(marks.newest, Math.min(batch.timestamps[row] ?? 0, receivedAt));
      marks.lastReceived = Math.max(marks.lastReceived, receivedAt);
    }
  }

  *[Symbol.iterator](): IterableIterator<SourceMark> {
    for (const [name, marks] of this.#byName) yield { name, ...marks };
  }

  #of(name: string): Marks {
    let marks = this.#byName.get(name);
    if (marks === undefined) {
      marks = { newest: -Infinity, lastReceived: -Infinity };
      this.#byName.set(name, marks);
    }
    return marks;
  }
}
