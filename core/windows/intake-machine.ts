import type { EventBatch } from "../events/event-batch.ts";
import { type Candidate, Deduplicator, type DeduplicatorState, type OnRemembered } from "./deduplicator.ts";
import { FINGERPRINT_WORDS, fingerprint } from "./fingerprint.ts";
import type { KnownIds } from "./id-handover.ts";
import type { IdGroup, IdMemory } from "./id-memory.ts";
import type { SeenFilter } from "./seen-filter.ts";
import type { Source, Sources } from "./sources.ts";

export interface Offer {
  /** Rows stored and counted from now on. */
  readonly fresh: Uint32Array;
  /** Rows whose ids must be looked up in the store before anything else is done with them. */
  readonly unknown: Uint32Array;
  readonly duplicates: number;
}

/** The first of a shard's two machines: which events are new. The other counts them, here or at home. */
export class IntakeMachine {
  readonly deduplicator: Deduplicator;
  readonly #sources: Sources;
  readonly #onRemembered: OnRemembered;

  /** @param onRemembered called when the group is within the horizon, so that a checkpoint can hold the id */
  constructor(
    sources: Sources,
    state: DeduplicatorState | undefined,
    onRemembered: OnRemembered,
    memory: IdMemory,
    seen: SeenFilter,
  ) {
    this.#sources = sources;
    this.deduplicator = new Deduplicator(sources, state, memory, seen);
    this.#onRemembered = onRemembered;
  }

  /** Decides which rows of a batch are new, and remembers those. `isPending` knows ids that wait for their look-up. */
  offer(batch: EventBatch, isPending: (id: string) => boolean): Offer {
    const candidates = new RowCandidates(batch, this.#sources);
    const words = new Uint32Array(FINGERPRINT_WORDS);
    const fresh = new Uint32Array(batch.length);
    const unknown: number[] = [];
    const unknownIds = new Set<string>();
    let freshCount = 0;
    for (let row = 0; row < batch.length; row++) {
      const id = batch.ids[row] ?? "";
      fingerprint(id, words, 0);
      const candidate = candidates.at(row);
      const verdict = this.deduplicator.judge(words, 0, candidate);
      // Without a time of its own a copy comes at another time, and may be judged new while the first one waits for its look-up.
      const isNew = verdict === "new" && !(candidate.timestampAssigned && isPending(id));
      if (isNew || (verdict === "unknown" && this.#isSurelyNew(words, id, isPending))) {
        this.#remember(words, candidate);
        fresh[freshCount++] = row;
      } else if (verdict === "unknown" && !unknownIds.has(id) && !isPending(id)) {
        unknownIds.add(id);
        unknown.push(row);
      }
    }
    const duplicates = batch.length - freshCount - unknown.length;
    return { fresh: fresh.subarray(0, freshCount), unknown: Uint32Array.from(unknown), duplicates };
  }

  /** Remembers rows that a log entry says are new, on replay and after a look-up. */
  remember(batch: EventBatch): void {
    const candidates = new RowCandidates(batch, this.#sources);
    const words = new Uint32Array(FINGERPRINT_WORDS);
    for (let row = 0; row < batch.length; row++) {
      fingerprint(batch.ids[row] ?? "", words, 0);
      if (!this.deduplicator.memory.has(words, 0)) this.#remember(words, candidates.at(row));
    }
  }

  /** Takes over what another shard knows of the ids in some slots. @returns true when a checkpoint must replace all stored ids */
  adopt(known: KnownIds): boolean {
    return this.deduplicator.adopt(known, (words, at, group) => this.#tell(words, at, group));
  }

  /** An id that waits for its look-up is in no filter yet. */
  #isSurelyNew(words: Uint32Array, id: string, isPending: (id: string) => boolean): boolean {
    return this.deduplicator.isUnseen(words, 0) && !isPending(id);
  }

  #remember(words: Uint32Array, candidate: Candidate): void {
    const group = this.deduplicator.remember(words, 0, candidate);
    if (group !== undefined) this.#tell(words, 0, group);
  }

  #tell(words: Uint32Array, at: number, group: IdGroup): void {
    if (this.deduplicator.isWithinHorizon(group)) this.#onRemembered(words, at, group);
  }
}

/** Rows of a batch as the deduplicator wants them: the source looked up once per distinct name. */
class RowCandidates {
  readonly #batch: EventBatch;
  readonly #sources: readonly (Source | undefined)[];
  readonly #index: Uint32Array;

  constructor(batch: EventBatch, sources: Sources) {
    const column = batch.column(["source"]);
    this.#batch = batch;
    this.#index = column.index;
    // The value of an absent field is in every column; each source named is one of those that can be told apart.
    this.#sources = column.values.map((value) => (value === undefined ? undefined : sources.of(String(value))));
  }

  at(row: number): Candidate {
    const source = this.#sources[this.#index[row] ?? 0];
    if (source === undefined) throw new RangeError(`row ${row} has no source`);
    return {
      source,
      timestamp: this.#batch.timestamps[row] ?? 0,
      receivedAt: this.#batch.receivedAt[row] ?? 0,
      timestampAssigned: this.#batch.isTimestampAssigned(row),
    };
  }
}
