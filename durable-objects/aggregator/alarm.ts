/** An object's one alarm, set for the next thing due. */
export class Alarm {
  readonly #storage: DurableObjectStorage;
  readonly #due: () => readonly (number | null)[];
  readonly #onWritten: () => void;
  /** Epoch ms for which it is set, or null. */
  #at: number | null = null;

  /** @param due when each kind of work is due next, epoch ms, or null */
  constructor(storage: DurableObjectStorage, due: () => readonly (number | null)[], onWritten: () => void) {
    this.#storage = storage;
    this.#due = due;
    this.#onWritten = onWritten;
  }

  /** Reads when it was last set; before anything else, so that an alarm set earlier is not put off. */
  async load(): Promise<void> {
    this.#at = await this.#storage.getAlarm();
  }

  /** It rings now, and is no longer set. */
  rang(): void {
    this.#at = null;
  }

  /** Sets it, unless it is set for an earlier time: each setting is a row written. */
  async arm(minDelayMs: number): Promise<void> {
    const due = this.#due().filter((at) => at !== null);
    if (due.length === 0) return;
    const next = Math.max(Math.min(...due), Date.now() + minDelayMs);
    if (this.#at !== null && this.#at <= next) return;
    this.#at = next;
    this.#onWritten();
    await this.#storage.setAlarm(next);
  }
}
