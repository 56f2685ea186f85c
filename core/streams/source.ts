/// <reference lib="esnext.disposable" />

/** Whatever can be read item by item. */
export type Source<T> = AsyncIterable<T> | Iterable<T>;

/** An item, or the end. */
export type Step<T> = IteratorResult<T, undefined>;

/** Reads one item. Never called again before its promise has settled, nor after the end. */
export type Pull<T> = () => Promise<Step<T>>;

/**
 * What operators make. It is cold: every iterator reads the source anew, so it can be iterated as often as the source can.
 * Nothing is opened before the first `next()`.
 */
export interface Stream<T> extends AsyncIterable<T> {
  [Symbol.asyncIterator](): StreamReader<T>;
}

/** One reading of a stream. */
export interface StreamReader<T> extends AsyncIterator<T, undefined> {
  /** May be called before earlier ones have settled; they settle in order. An error is delivered to one of them, then all are done. */
  next(): Promise<Step<T>>;
  /**
   * Stops: waiting `next()` calls are done at once and every source has been told before this returns.
   * Settles when the sources have closed; rejects when one of them fails to.
   */
  return(): Promise<Step<T>>;
  /** As `return`, but rejects with `error`. */
  throw(error: unknown): Promise<Step<T>>;
  [Symbol.asyncIterator](): StreamReader<T>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A step from one stream to another. Applying it opens nothing; with invalid arguments that closes the source and throws RangeError. */
export type Operator<In, Out> = (source: Source<In>) => Stream<Out>;

/** The step after the last item. */
export const END: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

/** The step that brings an item. */
export function item<T>(value: T): IteratorYieldResult<T> {
  return { done: false, value };
}
