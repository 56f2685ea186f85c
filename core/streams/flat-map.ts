import { countProblem } from "./arguments.ts";
import { Lanes } from "./lanes.ts";
import type { Scope } from "./scope.ts";
import { END, type Operator, type Pull, type Source } from "./source.ts";
import { operator } from "./stream.ts";
import type { Upstream } from "./upstream.ts";

/** How many inner sources, in which order. */
export interface FlatMapOptions {
  /** Inner sources open at once, ≥ 1. Default 1, which is concatenation. */
  readonly concurrency?: number;
  /** "source": all items of the first inner source, then of the second, … "arrival": whatever comes first, fairly. */
  readonly order?: "source" | "arrival";
}

/** Opens the inner source of an item. @param index from 0 */
export type Expand<In, Out> = (value: In, index: number) => Source<Out> | PromiseLike<Source<Out>>;

/**
 * Each item becomes a source, and the items of these come out. Reads ahead at most one item of each open inner source, and opens
 * at most `concurrency` of them; one item more of the outer source is read only when there is room for its inner one.
 */
export function flatMap<In, Out>(expand: Expand<In, Out>, options: FlatMapOptions = {}): Operator<In, Out> {
  const { concurrency = 1, order = "source" } = options;
  return operator(
    (input, scope) => {
      const lanes = new Lanes<Out>(order === "source", () => scope.close());
      const outer = new Outer(input, lanes, scope, expand);
      return async () => {
        for (;;) {
          if (lanes.size < concurrency) outer.readAhead();
          lanes.readAhead();
          const step = lanes.take();
          if (step !== undefined) return step;
          if (outer.isDone && lanes.size === 0) return END;
          // Ends that were just come by may have made room for another inner source.
          if (lanes.size < concurrency && outer.canRead) continue;
          await lanes.change();
        }
      };
    },
    problemWith(concurrency, order),
  );
}

function problemWith(concurrency: number, order: string): RangeError | undefined {
  if (order !== "source" && order !== "arrival") return new RangeError(`order must be source or arrival, got ${order}`);
  return countProblem("concurrency", concurrency, 1);
}

/** Turns items of the outer source into lanes, one read at a time. */
class Outer<In, Out> {
  readonly #input: Upstream<In>;
  readonly #lanes: Lanes<Out>;
  readonly #scope: Scope;
  readonly #expand: Expand<In, Out>;
  #index = 0;
  #isReading = false;
  isDone = false;

  constructor(input: Upstream<In>, lanes: Lanes<Out>, scope: Scope, expand: Expand<In, Out>) {
    this.#input = input;
    this.#lanes = lanes;
    this.#scope = scope;
    this.#expand = expand;
  }

  get canRead(): boolean {
    return !this.#isReading && !this.isDone;
  }

  readAhead(): void {
    if (!this.canRead) return;
    this.#isReading = true;
    this.#read().catch((error: unknown) => this.#lanes.fail(error));
  }

  async #read(): Promise<void> {
    const step = await this.#input.next();
    this.#isReading = false;
    if (step.done === true) this.isDone = true;
    else this.#lanes.add(this.#inner(step.value, this.#index++));
    this.#lanes.wake();
  }

  /** The inner source is opened by its first read. */
  #inner(value: In, index: number): Pull<Out> {
    let input: Upstream<Out> | undefined;
    return async () => {
      input ??= this.#scope.open(await this.#expand(value, index));
      return input.next();
    };
  }
}
