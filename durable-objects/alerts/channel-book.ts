import { shownConfig } from "../../core/alerts/channel.ts";
import type { ChannelJson, ChannelTarget } from "../../core/alerts/channel.ts";
import { rfc3339 } from "../../core/events/rfc3339.ts";
import { seal, unseal } from "./vault.ts";

type Row = {
  id: string;
  name: string;
  type: string;
  shown: string;
  sealed: ArrayBuffer;
  created_at: number;
};

/** A new channel, its target already encrypted. */
export interface SealedChannel {
  readonly id: string;
  readonly name: string;
  readonly target: ChannelTarget;
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
  readonly #targets = new Map<string, ChannelTarget>();

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

  /** @returns null when there is no such channel */
  typeOf(id: string): string | null {
    return this.#sql.exec<{ type: string }>("select type from channels where id = ?", id).toArray()[0]?.type ?? null;
  }

  /** Newest first, without secrets. */
  list(): ChannelJson[] {
    return this.#sql.exec<Row>("select * from channels order by created_at desc, id").toArray().map(channelJson);
  }

  /** @throws MissingKeyError */
  async seal(id: string, target: ChannelTarget): Promise<Uint8Array> {
    return await seal(JSON.stringify(target), this.#context(id), this.#encryptionKey);
  }

  add({ id, name, target, sealed, createdAt }: SealedChannel): ChannelJson {
    const row = this.#sql.exec<Row>(
      "insert into channels (id, name, type, shown, sealed, created_at) values (?, ?, ?, ?, ?, ?) returning *",
      id,
      name,
      target.type,
      JSON.stringify(shownConfig(target)),
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
  async target(id: string): Promise<ChannelTarget | null> {
    const known = this.#targets.get(id);
    if (known !== undefined) return known;
    const query = "select type, sealed from channels where id = ?";
    const row = this.#sql.exec<{ type: string; sealed: ArrayBuffer }>(query, id).toArray()[0];
    if (row === undefined) return null;
    const text = await unseal(new Uint8Array(row.sealed), this.#context(id), this.#encryptionKey);
    if (text === null) return null;
    const target: ChannelTarget = { type: row.type, ...JSON.parse(text) };
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
    config: JSON.parse(row.shown),
    created_at: rfc3339(row.created_at),
  };
}
