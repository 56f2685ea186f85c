import type { Claim, DeliveryReport } from "./answers.ts";
import type { ChannelBook } from "./channel-book.ts";
import type { ChannelHealth } from "./channel-health.ts";
import type { FollowUp } from "./follow-up.ts";
import { InFlight } from "./in-flight.ts";
import { MAX_AGE_MS } from "./outbox.ts";
import type { Notification, NotificationKey, Outbox } from "./outbox.ts";

/** What handing notifications to the sender needs. */
export interface DeliveryMeans {
  readonly transaction: <Result>(work: () => Result) => Result;
  readonly outbox: Outbox;
  readonly channels: ChannelBook;
  readonly health: ChannelHealth;
  readonly followUp: FollowUp;
  /** Whether the alert or bundle that a notification tells of is still known. */
  readonly hasThread: (id: string) => boolean;
  /** Lets work go on that nobody waits for. */
  readonly inBackground: (work: Promise<void>) => void;
  /** Epoch ms. */
  readonly now: () => number;
}

/** The sender's side of the outbox: what to try now, what came of it, what goes back. */
export class Deliveries {
  readonly #means: DeliveryMeans;
  readonly #inFlight = new InFlight();

  constructor(means: DeliveryMeans) {
    this.#means = means;
  }

  /** What to deliver, unless it was settled already, is under way, or its channel is held. */
  async claim(key: NotificationKey): Promise<Claim> {
    const { outbox, channels, health, followUp, now } = this.#means;
    const target = await channels.target(key.channelId);
    const unsettled = outbox.find(key);
    if (unsettled === null) return { kind: "settled" };
    const { madeAt, ...waiting } = unsettled;
    const nowMs = now();
    if (nowMs - madeAt >= MAX_AGE_MS) return { kind: "expired", ...waiting };
    if (!this.#inFlight.begin(nameOf(key), nowMs)) return { kind: "held" };
    const admission = health.enter(key.channelId, nowMs);
    if (admission.ok) return { kind: "attempt", ...waiting, target, pass: admission.pass };
    this.#inFlight.end(nameOf(key));
    outbox.postpone(key, admission.untilMs);
    await followUp.armBy(admission.untilMs);
    return { kind: "held" };
  }

  /** Writes an attempt down, with what it says about its channel. */
  async record({ alertId, delivery, retryAt, strain, pass }: DeliveryReport): Promise<void> {
    const { transaction, outbox, channels, health, followUp, inBackground } = this.#means;
    const { channelId, outcome, error } = delivery;
    this.#inFlight.end(nameOf(delivery));
    const hasReleased = transaction(() => {
      const isKnown = strain !== null && channels.has(channelId);
      const circuit = isKnown ? health.settle(channelId, pass, { outcome, error, strain }, delivery.at) : null;
      return outbox.record(alertId, { ...delivery, circuit }, retryAt) || circuit === "closed";
    });
    if (hasReleased) inBackground(followUp.run());
    else if (retryAt !== null) await followUp.armBy(retryAt);
  }

  /** What the sender had no time to begin goes on the queue again. */
  putBack(keys: readonly NotificationKey[]): void {
    const { transaction, outbox, followUp, inBackground, now } = this.#means;
    const nowMs = now();
    transaction(() => {
      for (const key of keys) outbox.postpone(key, nowMs);
    });
    inBackground(followUp.run());
  }

  /** Another round of attempts for what was given up. @returns for each whether it is on its way */
  requeue(list: readonly Notification[]): boolean[] {
    const { transaction, outbox, channels, hasThread, followUp, inBackground, now } = this.#means;
    const nowMs = now();
    const taken = transaction(() =>
      list.map((notification) => {
        if (!channels.has(notification.channelId) || !hasThread(notification.alertId)) return false;
        outbox.add(notification, nowMs);
        return true;
      }),
    );
    inBackground(followUp.run());
    return taken;
  }

  /** A channel was found to work: what was held back for it goes now. */
  release(channelId: string): void {
    const { outbox, channels, health, followUp, inBackground, now } = this.#means;
    if (!channels.has(channelId) || !health.restore(channelId, now())) return;
    outbox.expireLeases(now(), channelId);
    inBackground(followUp.run());
  }

  /** A channel that is down must not keep alerts from the others: the oldest of what waits for it is given up. */
  makeRoom(): void {
    const { outbox, health, followUp, inBackground, now } = this.#means;
    outbox.age([...health.held(now()).keys()], now());
    inBackground(followUp.run());
  }
}

function nameOf({ messageId, channelId }: NotificationKey): string {
  return `${messageId} ${channelId}`;
}
