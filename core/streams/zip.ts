import { END, item, type Source, type Step, type Stream } from "./source.ts";
import { stream } from "./stream.ts";
import type { Upstream } from "./upstream.ts";

/**
 * The first items of all sources as one list, then the second ones, … until one source ends; the others are closed then, without
 * waiting for what they were asked for. Items read with that last round are lost. Of no sources comes nothing.
 */
export function zip<T extends unknown[]>(sources: { readonly [K in keyof T]: Source<T[K]> }): Stream<T>;
export function zip(sources: readonly Source<unknown>[]): Stream<unknown[]> {
  return stream((scope) => {
    const inputs = sources.map((source) => scope.open(source));
    return () => readRound(inputs);
  });
}

/** Settles as soon as one input ends or fails, else when all have an item. */
function readRound(inputs: readonly Upstream<unknown>[]): Promise<Step<unknown[]>> {
  return new Promise((resolve, reject) => {
    const round: unknown[] = inputs.map(() => undefined);
    let missing = inputs.length;
    if (missing === 0) resolve(END);
    const arrived = (index: number, step: Step<unknown>): void => {
      if (step.done === true) resolve(END);
      round[index] = step.value;
      missing -= 1;
      if (missing === 0) resolve(item(round));
    };
    for (const [index, input] of inputs.entries()) input.next().then((step) => arrived(index, step), reject);
  });
}
