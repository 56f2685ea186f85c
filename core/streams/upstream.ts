import { END, type Source, type Step } from "./source.ts";

/** One opened source, guarded: it is closed at most once, never after its own end, and nothing comes out of it afterwards. */
export class Upstream<T> {
  readonly #iterator: AsyncIterator<T> | Iterator<T>;
  readonly #onEnd: (upstream: Upstream<T>) => void;
  #isOpen = true;
  #reads = 0;

  /** @param onEnd called once, when the source ends, fails or is closed */
  constructor(source: Source<T>, onEnd: (upstream: Upstream<T>) => void) {
    const isAsync = typeof source !== "string" && Symbol.asyncIterator in source;
    this.#iterator = isAsync ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.#onEnd = onEnd;
  }

  /** Whether the source has been asked for an item and has not answered. */
  get isReading(): boolean {
    return this.#reads > 0;
  }

  /** The next item. After `close` it is the end, also for reads under way: an item in flight is discarded, and so is an error. */
  async next(): Promise<Step<T>> {
    if (!this.#isOpen) return END;
    this.#reads += 1;
    try {
      const step = await this.#iterator.next();
      if (this.#isOpen && step.done !== true) return step;
      this.#end();
      return END;
    } catch (error) {
      if (!this.#isOpen) return END;
      this.#end();
      throw error;
    } finally {
      this.#reads -= 1;
    }
  }

  /** Tells the source to stop, before this returns. @returns settles when it has; rejects when it fails to */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#end();
    await this.#iterator.return?.();
  }

  #end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onEnd(this);
  }
}
