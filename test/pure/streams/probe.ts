/** "silence": never answers. A number is an item, an Error is thrown. */
type Act = number | Error | "silence";

/** A source that plays a script and writes down what is done to it. */
export class Probe implements AsyncIterable<number> {
  opened = 0;
  pulls = 0;
  returns = 0;
  readonly #script: Iterable<Act>;
  readonly #answerLast: (() => void)[] = [];

  constructor(script: Iterable<Act>) {
    this.#script = script;
  }

  /** Makes reads that met silence deliver an item after all. */
  answer(): void {
    for (const answer of this.#answerLast.splice(0)) answer();
  }

  [Symbol.asyncIterator](): AsyncIterator<number> {
    this.opened += 1;
    const acts = this.#script[Symbol.iterator]();
    return {
      next: () => {
        this.pulls += 1;
        const { done, value } = acts.next();
        if (done === true) return Promise.resolve({ done: true, value: undefined });
        if (value instanceof Error) return Promise.reject(value);
        if (typeof value === "number") return Promise.resolve({ done: false, value });
        return new Promise((resolve) => this.#answerLast.push(() => resolve({ done: false, value: 99 })));
      },
      return: () => {
        this.returns += 1;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }
}

/** 1, 2, … count, then what follows. */
export function counting(count: number, ...then: Act[]): Act[] {
  return [...Array.from({ length: count }, (_, index) => index + 1), ...then];
}

/** Lets everything happen that needs no time: promises and immediate callbacks. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
