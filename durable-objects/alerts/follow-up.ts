import type { NotificationMessage } from "../../core/alerts/notification-message.ts";
import type { ChannelHealth } from "./channel-health.ts";
import { drainOutbox } from "./courier.ts";
import type { Outbox } from "./outbox.ts";
import type { WatchList } from "./watch-list.ts";

/** The alarm comes at least this long after what it is to finish was begun: it is for what a failure or an eviction left. */
const RESUME_AFTER_MS = 5_000;
/** After an alarm the next one waits at least this long, so that what fails at once does not ring without pause. */
const MIN_ALARM_PAUSE_MS = 50;

/** What the work after a commit needs. */
export interface FollowUpMeans {
  readonly tenant: string;
  /** Epoch ms at which a silence, an escalation or a repeat waits for `takeTime`, or null. */
  readonly dueAt: () => number | null;
  readonly takeTime: () => void;
  readonly outbox: Outbox;
  readonly health: ChannelHealth;
  readonly watchList: WatchList;
  readonly send: (messages: readonly NotificationMessage[]) => Promise<void>;
  readonly setAlarm: (at: number) => Promise<void>;
  /** Epoch ms. */
  readonly now: () => number;
  readonly report: (what: string, error: unknown) => void;
}

/**
 * The work that a committed change leaves to do: due notifications onto the queue, and the list of watched aggregations to
 * the aggregator. What fails, or dies with the object, is done by the alarm.
 */
export class FollowUp {
  readonly #means: FollowUpMeans;
  #draining: Promise<void> | undefined;
  /** Epoch ms for which the alarm is set; null when it is not. */
  #alarmAt: number | null = null;
  /** Epoch ms before which what failed when its time had come is not tried again. */
  #timeRetryAt = 0;

  constructor(means: FollowUpMeans) {
    this.#means = means;
  }

  /** The object has woken. @param alarmAt what the alarm was left at, epoch ms, or null */
  async start(alarmAt: number | null): Promise<void> {
    this.#alarmAt = alarmAt;
    await this.arm();
  }

  /** Does all that is due, then sets the alarm for what is left. Never throws: failures are reported and stay due. */
  async run(): Promise<void> {
    await Promise.all([this.#drain(), this.announce()]);
    await this.arm();
  }

  /** Tells the aggregator what is watched, if that is due. */
  async announce(): Promise<void> {
    try {
      await this.#means.watchList.announce(this.#means.now);
    } catch (error) {
      this.#means.report("watch aggregations", error);
    }
  }

  /** Sets the alarm for the next thing that is due, unless it comes earlier anyway. */
  async arm(): Promise<void> {
    const { outbox, health, watchList, dueAt, now, setAlarm } = this.#means;
    const due = [outbox.dueAt(health.held(now())), watchList.dueAt].filter((at) => at !== null);
    // What waits for its time is not begun by anything else, so the alarm comes for it in time.
    const timed = dueAt();
    if (due.length === 0 && timed === null) return;
    const first = Math.min(...due);
    // What lies ahead, a retry for instance, is nobody's work yet: the alarm comes for it in time, too.
    const resumed = first > now() ? first : now() + RESUME_AFTER_MS;
    const at = Math.min(
      resumed,
      timed === null ? Infinity : Math.max(timed, this.#timeRetryAt, now() + MIN_ALARM_PAUSE_MS),
    );
    if (this.#alarmAt !== null && this.#alarmAt <= at) return;
    this.#alarmAt = at;
    await setAlarm(at);
  }

  /** Something is due at `at` (epoch ms) and nothing else has changed: no need to look at all that waits. */
  async armBy(at: number): Promise<void> {
    const time = Math.max(at, this.#means.now() + MIN_ALARM_PAUSE_MS);
    if (this.#alarmAt !== null && this.#alarmAt <= time) return;
    this.#alarmAt = time;
    await this.#means.setAlarm(time);
  }

  /** The alarm has come. */
  async alarm(): Promise<void> {
    this.#alarmAt = null;
    try {
      this.#means.takeTime();
    } catch (error) {
      this.#means.report("take the time", error);
      this.#timeRetryAt = this.#means.now() + RESUME_AFTER_MS;
    }
    await this.run();
  }

  async #drain(): Promise<void> {
    this.#draining ??= drainOutbox(this.#means).finally(() => {
      this.#draining = undefined;
    });
    try {
      await this.#draining;
    } catch (error) {
      this.#means.report("queue notifications", error);
    }
  }
}
