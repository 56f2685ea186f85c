import { shownUrl } from "../../core/alerts/channel.ts";
import type { ChannelJson, WebhookTarget } from "../../core/alerts/channel.ts";
import { seal, unseal } from "./vault.ts";

type Row = {
  id: string;
  name: string;
  type: string;
  shown_url: string;
  allow_private: number;
  sealed: ArrayBuffer;
  created_at: number;
};

/** A new channel, its target already encrypted. */
export interface SealedChannel {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly target: WebhookTarget;
  readonly sealed: Uint8Array;
  /** Epoch ms. */
  readonly createdAt: number;
}

/** The tenant's channels. Their targets are encrypted at rest and leave this object only towards the sender. */
export class ChannelBook {
  readonly #sql: SqlStorage;
  readonly #tenant: string;
  readonly #encryptionKey: string;
  /** Decrypted targets, so that a storm of alerts does not decrypt each time. At most MAX_CHANNELS. */
  readonly #targets = new Map<string, WebhookTarget>();

  constructor(sql: SqlStorage, tenant: string, encryptionKey: string) {
    this.#sql = sql;
    this.#tenant = tenant;
    this.#encryptionKey = encryptionKey;
  }

  get size(): number {
    return this.#sql.exec<{ channels: number }>("select count(*) as channels from channels").one().channels;
  }

  has(id: string): boolean {
    return this.#sql.exec("select 1 from channels where id = ?", id).toArray().length > 0;
  }

  /** Newest first, without secrets. */
  list(): ChannelJson[] {
    return this.#sql.exec<Row>("select * from channels order by created_at desc, id").toArray().map(channelJson);
  }

  /** @throws MissingKeyError */
  async seal(id: string, target: WebhookTarget): Promise<Uint8Array> {
    return await seal(JSON.stringify(target), this.#context(id), this.#encryptionKey);
  }

  add({ id, name, type, target, sealed, createdAt }: SealedChannel): ChannelJson {
    const row = this.#sql.exec<Row>(
      "insert into channels (id, name, type, shown_url, allow_private, sealed, created_at) values (?, ?, ?, ?, ?, ?, ?) returning *",
      id,
      name,
      type,
      shownUrl(target.url),
      target.allowPrivateTargets ? 1 : 0,
      sealed,
      createdAt,
    );
    return channelJson(row.one());
  }

  remove(id: string): void {
    this.#sql.exec("delete from channels where id = ?", id);
    this.#targets.delete(id);
  }

  /** Where a channel's messages go. @returns null when there is no such channel or its target cannot be decrypted any more */
  async target(id: string): Promise<WebhookTarget | null> {
    const known = this.#targets.get(id);
    if (known !== undefined) return known;
    const row = this.#sql.exec<{ sealed: ArrayBuffer }>("select sealed from channels where id = ?", id).toArray()[0];
    if (row === undefined) return null;
    const text = await unseal(new Uint8Array(row.sealed), this.#context(id), this.#encryptionKey);
    if (text === null) return null;
    const target: WebhookTarget = JSON.parse(text);
    // The channel may have been deleted while it was being decrypted.
    if (this.has(id)) this.#targets.set(id, target);
    return target;
  }

  #context(id: string): string {
    return `${this.#tenant}/${id}`;
  }
}

function channelJson(row: Row): ChannelJson {
  return {
    id: row.id,
    name: row.name,
    type: row.type,
    config: { url: row.shown_url, secret_set: true, allow_private_targets: row.allow_private === 1 },
    created_at: new Date(row.created_at).toISOString(),
  };
}
