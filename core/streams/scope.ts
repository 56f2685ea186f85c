import type { Clock } from "./clock.ts";
import type { Source } from "./source.ts";
import { Upstream } from "./upstream.ts";

/** How the closing of several sources goes. Both promises reject with the first failure, after all have settled. */
export interface Closing {
  readonly all: Promise<void>;
  /** Without the sources that are in the middle of a read: they may hang there, and the end of a stream must not. */
  readonly unblocked: Promise<void>;
}

interface Closable {
  readonly isReading: boolean;
  close(): Promise<void>;
}

/** Everything that one reading of a stream holds open, so that it can be let go at once. */
export class Scope {
  readonly #upstreams = new Set<Closable>();
  readonly #hooks = new Set<() => void>();
  #closing: Closing | undefined;

  /** Opens a source. When the scope has closed meanwhile, the source is closed again and its reader finds the end. */
  open<T>(source: Source<T>): Upstream<T> {
    const upstream = new Upstream(source, (ended) => this.#upstreams.delete(ended));
    if (this.#closing === undefined) this.#upstreams.add(upstream);
    else upstream.close().catch(ignore);
    return upstream;
  }

  /** @param hook called once when the scope closes, or at once if it has, unless it has been taken off @returns takes it off */
  onClose(hook: () => void): () => void {
    if (this.#closing !== undefined) hook();
    this.#hooks.add(hook);
    return () => this.#hooks.delete(hook);
  }

  /** A timer that does not outlive the scope. @returns cancels it */
  setTimer(clock: Clock, ms: number, fire: () => void): () => void {
    const cancelTimer = clock.setTimer(ms, () => {
      forget();
      fire();
    });
    const forget = this.onClose(cancelTimer);
    return () => {
      forget();
      cancelTimer();
    };
  }

  /** Every hook has run and every source has been told to stop when this returns. */
  close(): Closing {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  #closeAll(): Closing {
    for (const hook of this.#hooks) hook();
    this.#hooks.clear();
    const closings = [...this.#upstreams].map((upstream) => ({
      isReading: upstream.isReading,
      closed: upstream.close(),
    }));
    const all = allSettled(closings.map(({ closed }) => closed));
    const unblocked = allSettled(closings.filter(({ isReading }) => !isReading).map(({ closed }) => closed));
    return { all, unblocked };
  }
}

/** Closes a source that will not be read. What goes wrong there is nobody's business any more. */
export function discard(source: Source<unknown>): void {
  try {
    new Upstream(source, ignore).close().catch(ignore);
  } catch {
    // It could not be opened, so there is nothing to close.
  }
}

function allSettled(promises: readonly Promise<void>[]): Promise<void> {
  const settled = throwFirst(promises);
  // Whoever waits for it sees the failure; that nobody waits is no unhandled rejection.
  settled.catch(ignore);
  return settled;
}

async function throwFirst(promises: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(promises);
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

function ignore(): void {}
