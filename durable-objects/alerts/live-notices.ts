import type { AlertJson } from "../../core/alerts/alert.ts";

/** Alerts in one frame to live readers. */
const MAX_ALERTS_PER_FRAME = 100;
/** Alerts waiting to be told; beyond it the oldest are left out: readers see them with their next snapshot. */
const MAX_WAITING = 1_000;

/**
 * Tells live readers of changed alerts, one frame at a time so that an older state never overtakes a newer one.
 * Best effort: what cannot be told is dropped, for nothing that matters waits on a reader.
 */
export class LiveNotices {
  readonly #publish: (alerts: readonly AlertJson[]) => Promise<void>;
  readonly #waiting = new Map<string, AlertJson>();
  #running: Promise<void> | undefined;

  constructor(publish: (alerts: readonly AlertJson[]) => Promise<void>) {
    this.#publish = publish;
  }

  /** @returns when everything waiting has been told or dropped */
  async tell(alerts: readonly AlertJson[]): Promise<void> {
    for (const alert of alerts) {
      this.#waiting.delete(alert.id);
      this.#waiting.set(alert.id, alert);
    }
    for (const id of [...this.#waiting.keys()].slice(0, Math.max(0, this.#waiting.size - MAX_WAITING))) {
      this.#waiting.delete(id);
    }
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      const frame = [...this.#waiting.values()].slice(0, MAX_ALERTS_PER_FRAME);
      for (const { id } of frame) this.#waiting.delete(id);
      try {
        await this.#publish(frame);
      } catch {
        this.#waiting.clear();
      }
    }
  }
}
