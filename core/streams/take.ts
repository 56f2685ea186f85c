import { limitProblem } from "./arguments.ts";
import { END, type Operator } from "./source.ts";
import { operator } from "./stream.ts";

/** The first `count` items. Reads no more than those and closes the source with the last of them. @param count Infinity for all */
export function take<T>(count: number): Operator<T, T> {
  return operator(
    (input, scope) => {
      let left = count;
      return async () => {
        if (left === 0) return END;
        const step = await input.next();
        left -= 1;
        if (left === 0) scope.close();
        return step;
      };
    },
    limitProblem("count", count, 0),
  );
}

/** All but the first `count` items. */
export function skip<T>(count: number): Operator<T, T> {
  return operator(
    (input) => {
      let left = count;
      return async () => {
        for (;;) {
          const step = await input.next();
          if (step.done === true || left === 0) return step;
          left -= 1;
        }
      };
    },
    limitProblem("count", count, 0),
  );
}
