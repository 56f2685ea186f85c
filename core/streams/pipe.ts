import type { Operator, Source, Stream } from "./source.ts";

/** Applies operators from left to right: `pipe(source, filter(isOpen), map(toRow), batch(100))`. */
export function pipe<A, B>(source: Source<A>, ab: Operator<A, B>): Stream<B>;
export function pipe<A, B, C>(source: Source<A>, ab: Operator<A, B>, bc: Operator<B, C>): Stream<C>;
export function pipe<A, B, C, D>(
  source: Source<A>,
  ab: Operator<A, B>,
  bc: Operator<B, C>,
  cd: Operator<C, D>,
): Stream<D>;
export function pipe<A, B, C, D, E>(
  source: Source<A>,
  ab: Operator<A, B>,
  bc: Operator<B, C>,
  cd: Operator<C, D>,
  de: Operator<D, E>,
): Stream<E>;
export function pipe<A, B, C, D, E, F>(
  source: Source<A>,
  ab: Operator<A, B>,
  bc: Operator<B, C>,
  cd: Operator<C, D>,
  de: Operator<D, E>,
  ef: Operator<E, F>,
): Stream<F>;
export function pipe<T>(source: Source<T>, ...operators: Operator<T, T>[]): Source<T>;
export function pipe(source: Source<unknown>, ...operators: Operator<unknown, unknown>[]): Source<unknown> {
  return operators.reduce<Source<unknown>>((input, apply) => apply(input), source);
}
