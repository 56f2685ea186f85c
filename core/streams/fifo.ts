/** A queue whose `shift` costs the same at any length: `Array.shift` moves every item of a long array. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** The oldest, undefined when empty. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(value: T): void {
    this.#items.push(value);
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const value = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    this.#forget();
    return value;
  }

  /** @param index 0 is the oldest; must be below `length` */
  removeAt(index: number): void {
    this.#items.splice(this.#head + index, 1);
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  /** Drops what was shifted, often enough that it holds no more memory than the queue itself, seldom enough to cost little. */
  #forget(): void {
    if (this.#head < 1_024 || this.#head * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }
}
