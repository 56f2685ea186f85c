import { END, item, type Operator } from "./source.ts";
import { operator } from "./stream.ts";

/** Each item becomes another, one at a time and in order; a promise is waited for. Reads nothing ahead. @param index from 0 */
export function map<In, Out>(change: (value: In, index: number) => Out | PromiseLike<Out>): Operator<In, Out> {
  return operator((input) => {
    let index = 0;
    return async () => {
      const step = await input.next();
      return step.done === true ? END : item(await change(step.value, index++));
    };
  });
}

/** Lets through the items for which `keep` is true. Reads nothing ahead. @param index from 0, of the item in the source */
export function filter<T>(keep: (value: T, index: number) => boolean | PromiseLike<boolean>): Operator<T, T> {
  return operator((input) => {
    let index = 0;
    return async () => {
      for (;;) {
        const step = await input.next();
        if (step.done === true || (await keep(step.value, index++))) return step;
      }
    };
  });
}
