import { countProblem } from "./arguments.ts";
import { END, item, type Operator } from "./source.ts";
import { operator } from "./stream.ts";

/** Lists of `size` items; the last one may be shorter and is never empty. An error comes at once: what was gathered for it is lost. */
export function batch<T>(size: number): Operator<T, T[]> {
  return window(size, size);
}

/**
 * Lists of `size` neighbouring items, one starting every `every` items. With every < size they overlap, with every > size items
 * between them are left out. At the end the items that were in no window yet come once, as a last, shorter one.
 */
export function window<T>(size: number, every = 1): Operator<T, T[]> {
  return operator(
    (input) => {
      let held: T[] = [];
      let fresh = 0;
      let toSkip = 0;
      return async () => {
        for (;;) {
          const step = await input.next();
          if (step.done === true) break;
          if (toSkip > 0) {
            toSkip -= 1;
            continue;
          }
          held.push(step.value);
          fresh += 1;
          if (held.length < size) continue;
          const full = held;
          held = full.slice(every);
          toSkip = Math.max(0, every - size);
          fresh = 0;
          return item(full);
        }
        if (fresh === 0) return END;
        fresh = 0;
        return item(held);
      };
    },
    countProblem("size", size, 1) ?? countProblem("every", every, 1),
  );
}
