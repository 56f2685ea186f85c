import { END, item, type Operator } from "./source.ts";
import { operator } from "./stream.ts";

/** Folds one item into what came of those before it. */
export type Fold<In, Out> = (result: Out, value: In, index: number) => Out | PromiseLike<Out>;

/** The result so far, after each item; nothing for an empty source. Each reading starts from `initial`, so do not change it. */
export function scan<In, Out>(fold: Fold<In, Out>, initial: Out): Operator<In, Out> {
  return operator((input) => {
    let result = initial;
    let index = 0;
    return async () => {
      const step = await input.next();
      if (step.done === true) return END;
      result = await fold(result, step.value, index++);
      return item(result);
    };
  });
}

/** One item: the result after all items, or `initial` if there are none. */
export function reduce<In, Out>(fold: Fold<In, Out>, initial: Out): Operator<In, Out> {
  return operator((input) => {
    let isDone = false;
    return async () => {
      if (isDone) return END;
      let result = initial;
      let index = 0;
      for (let step = await input.next(); step.done !== true; step = await input.next()) {
        result = await fold(result, step.value, index++);
      }
      isDone = true;
      return item(result);
    };
  });
}
