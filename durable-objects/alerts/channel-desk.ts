import { MAX_CHANNELS } from "../../core/alerts/limits.ts";
import type { ChannelAnswer, ChannelDraft, ChannelRemoval, ChannelView } from "./answers.ts";
import type { ChannelBook } from "./channel-book.ts";
import type { ChannelHealth } from "./channel-health.ts";
import type { Outbox } from "./outbox.ts";
import type { PushKeys } from "./push-keys.ts";
import type { RuleBook } from "./rule-book.ts";
import { MissingKeyError } from "./vault.ts";

/** What a channel touches. */
export interface ChannelMeans {
  readonly channels: ChannelBook;
  readonly health: ChannelHealth;
  readonly pushKeys: PushKeys;
  readonly outbox: Outbox;
  readonly rules: RuleBook;
}

/** What people do with a tenant's channels; what is sent through them is another matter. */
export class ChannelDesk {
  readonly #means: ChannelMeans;

  constructor(means: ChannelMeans) {
    this.#means = means;
  }

  /** Makes a channel; its secrets can never be read again. */
  async add({ name, target: draft }: ChannelDraft): Promise<ChannelAnswer> {
    const { channels, pushKeys } = this.#means;
    const id = crypto.randomUUID();
    try {
      const target = draft.type === "push" ? { ...draft, vapid: await pushKeys.keys() } : draft;
      const sealed = await channels.seal(id, target);
      if (channels.size >= MAX_CHANNELS) return { ok: false, reason: "too_many" };
      return { ok: true, channel: channels.add({ id, name, target, sealed, createdAt: Date.now() }) };
    } catch (error) {
      if (error instanceof MissingKeyError) return { ok: false, reason: "no_encryption_key" };
      throw error;
    }
  }

  /** What a browser subscribes to push messages with, base64url. Null when there is no encryption key to keep its private half. */
  async pushKey(): Promise<string | null> {
    try {
      return (await this.#means.pushKeys.keys()).publicKey;
    } catch (error) {
      if (error instanceof MissingKeyError) return null;
      throw error;
    }
  }

  /** Newest first, without secrets. */
  list(nowMs: number): ChannelView[] {
    const { channels, health, outbox } = this.#means;
    const waiting = outbox.counts();
    return channels.list().map((channel) => ({
      ...channel,
      state: { ...health.json(channel.id, nowMs), waiting: waiting.get(channel.id) ?? 0 },
    }));
  }

  /** Removes a channel that no rule uses. */
  remove(id: string): ChannelRemoval {
    const { channels, health, rules } = this.#means;
    if (!channels.has(id)) return { ok: false, reason: "not_found" };
    const users = rules.using(id).map(({ spec }) => spec.name);
    if (users.length > 0) return { ok: false, reason: "in_use", rules: users };
    channels.remove(id);
    health.forget(id);
    return { ok: true };
  }
}
