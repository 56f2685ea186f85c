import { Lanes } from "./lanes.ts";
import { END, type Source, type Stream } from "./source.ts";
import { stream } from "./stream.ts";

/**
 * The items of all sources as they arrive, until all have ended. Fair: a source that has an item waits for at most one item of
 * each other. Reads at most one item ahead of each source. The error of one comes at once and closes the others.
 */
export function merge<T>(sources: readonly Source<T>[]): Stream<T> {
  return stream((scope) => {
    const lanes = new Lanes<T>(false, () => scope.close());
    for (const source of sources) {
      const input = scope.open(source);
      lanes.add(() => input.next());
    }
    return async () => {
      for (;;) {
        lanes.readAhead();
        const step = lanes.take();
        if (step !== undefined) return step;
        if (lanes.size === 0) return END;
        await lanes.change();
      }
    };
  });
}
