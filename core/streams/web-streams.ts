import { type Source, type Stream, END, item } from "./source.ts";
import { Scope } from "./scope.ts";
import { stream } from "./stream.ts";
import type { Upstream } from "./upstream.ts";

/** What is needed of a ReadableStream's default reader. */
export interface ReadableReaderLike<T> {
  read(): Promise<{ readonly done: false; readonly value: T } | { readonly done: true }>;
  cancel(reason?: unknown): Promise<void>;
  releaseLock(): void;
}

/** What a ReadableStream is made of. */
export interface ReadableSource<T> {
  pull(controller: { enqueue(chunk: T): void; close(): void }): Promise<void>;
  cancel(): Promise<void>;
}

/**
 * Reads a ReadableStream, which is locked from the first `next()` on. Stopping early cancels it. It can be read once.
 * @param getReader `() => readable.getReader()`; a function, because platforms type the method differently.
 * Name the type of the items: what is inferred includes the undefined that ends come with.
 */
export function fromReadable<T>(getReader: () => ReadableReaderLike<T>): Stream<T> {
  return stream((scope) => {
    const input = scope.open({ [Symbol.asyncIterator]: () => readableIterator(getReader()) });
    return () => input.next();
  });
}

function readableIterator<T>(reader: ReadableReaderLike<T>): AsyncIterator<T, undefined> {
  return {
    async next() {
      const result = await reader.read();
      if (!result.done) return item(result.value);
      reader.releaseLock();
      return END;
    },
    async return() {
      await reader.cancel();
      reader.releaseLock();
      return END;
    },
  };
}

/**
 * A ReadableStream of the items. It reads the source only as it is read itself: nothing ahead.
 * @param construct `(source, strategy) => new ReadableStream(source, strategy)`, of whatever platform this runs on
 */
export function toReadable<T, Readable>(
  source: Source<T>,
  construct: (source: ReadableSource<T>, strategy: { readonly highWaterMark: number }) => Readable,
): Readable {
  const scope = new Scope();
  let input: Upstream<T> | undefined;
  const readable: ReadableSource<T> = {
    async pull(controller) {
      input ??= scope.open(source);
      const step = await input.next();
      if (step.done === true) controller.close();
      else controller.enqueue(step.value);
    },
    async cancel() {
      input ??= scope.open(source);
      await input.close();
    },
  };
  return construct(readable, { highWaterMark: 0 });
}
