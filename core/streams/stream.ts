/**
 * The iterator protocol, once for all operators.
 *
 * An async generator queues `return()` behind the `next()` under way, so a stream made of generators cannot be stopped while
 * its source is silent. Here an operator is a function that reads one item; order, errors, the end and closing are done by
 * the reader around it, which closes the sources itself and leaves a read under way to its fate.
 */
import { Fifo } from "./fifo.ts";
import { discard, Scope } from "./scope.ts";
import { END, type Operator, type Pull, type Source, type Step, type Stream, type StreamReader } from "./source.ts";
import type { Upstream } from "./upstream.ts";

/** @param open called once per iterator, at its first use: opens sources in the scope and says how to read one item */
export function stream<T>(open: (scope: Scope) => Pull<T>): Stream<T> {
  return { [Symbol.asyncIterator]: () => new Reader(open) };
}

/**
 * An operator on one source.
 * @param open as for `stream`, with the source opened
 * @param problem what is wrong with the operator's arguments
 */
export function operator<In, Out>(
  open: (input: Upstream<In>, scope: Scope) => Pull<Out>,
  problem?: RangeError,
): Operator<In, Out> {
  return (source) => {
    refuse(problem, [source]);
    return stream((scope) => open(scope.open(source), scope));
  };
}

/** @throws problem, if there is one, after closing the sources that now nobody will read */
export function refuse(problem: RangeError | undefined, sources: readonly Source<unknown>[]): void {
  if (problem === undefined) return;
  for (const source of sources) discard(source);
  throw problem;
}

interface Waiter<T> {
  resolve(step: Step<T>): void;
  reject(error: unknown): void;
}

class Reader<T> implements StreamReader<T> {
  readonly #scope = new Scope();
  readonly #waiting = new Fifo<Waiter<T>>();
  /** Dropped when used, as `#pull` is at the end: what a closed reader does not hold can be collected. */
  #open: ((scope: Scope) => Pull<T>) | undefined;
  #pull: Pull<T> | undefined;
  #isPulling = false;
  #isClosed = false;

  constructor(open: (scope: Scope) => Pull<T>) {
    this.#open = open;
  }

  next(): Promise<Step<T>> {
    if (this.#isClosed && this.#waiting.length === 0) return Promise.resolve(END);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#pullNext();
    });
  }

  async return(): Promise<Step<T>> {
    const isFirst = !this.#isClosed;
    try {
      this.#start();
    } finally {
      this.#shut();
      this.#endWaiting();
      this.#scope.close();
    }
    const { all } = this.#scope.close();
    // A failure to close is told once; after an error or the end nobody is interested.
    await (isFirst ? all : all.catch(() => undefined));
    return END;
  }

  async throw(error: unknown): Promise<Step<T>> {
    try {
      await this.return();
    } catch {
      // The caller's own error is the one to tell.
    }
    throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): StreamReader<T> {
    return this;
  }

  /** @throws what opening a source throws */
  #start(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined && !this.#isClosed) this.#pull = open(this.#scope);
  }

  #pullNext(): void {
    if (this.#isPulling || this.#isClosed || this.#waiting.length === 0) return;
    this.#isPulling = true;
    try {
      this.#start();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#pull?.().then(
      (step) => this.#arrived(step),
      (error: unknown) => this.#fail(error),
    );
  }

  #arrived(step: Step<T>): void {
    if (this.#isClosed) return;
    if (step.done === true) {
      this.#finish();
      return;
    }
    this.#isPulling = false;
    this.#waiting.shift()?.resolve(step);
    this.#pullNext();
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return;
    this.#shut();
    this.#scope.close();
    this.#waiting.shift()?.reject(error);
    this.#endWaiting();
  }

  /** The end is told when the sources have closed, so that a failure to close is not lost. */
  #finish(): void {
    this.#shut();
    this.#scope
      .close()
      .unblocked.catch((error: unknown) => this.#waiting.shift()?.reject(error))
      .then(() => this.#endWaiting())
      .catch(() => undefined);
  }

  #shut(): void {
    this.#isClosed = true;
    this.#open = undefined;
    this.#pull = undefined;
  }

  #endWaiting(): void {
    while (this.#waiting.length > 0) this.#waiting.shift()?.resolve(END);
  }
}
