import { DurableObject } from "cloudflare:workers";
import { tenantOf } from "../core/events/names.ts";
import { Keeper } from "./patterns/keeper.ts";
import { MatchSender } from "./patterns/match-sender.ts";
import type { KeeperAnswer, KeeperCall, KeeperStatus } from "./patterns/messages.ts";
import { matchGate } from "./patterns/remote.ts";

/** Some keys of a tenant's patterns: holds their events until the watermark has passed, and tells of matches. Named `t:<tenant>:patterns:<n>`. */
export class PatternKeeper extends DurableObject<Env> {
  readonly #keeper: Keeper;
  readonly #sender: MatchSender;
  /** Whether the alarm is known to be set: each setting is a row written. */
  #isArmed = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const tenant = tenantOf(ctx.id.name);
    this.#keeper = new Keeper({
      storage: ctx.storage,
      abort: (error) => {
        this.#report("aborted", error);
        ctx.abort(`change failed: ${String(error)}`);
      },
    });
    this.#sender = new MatchSender(this.#keeper.tables, {
      send: async (events) => await matchGate(ctx).take(tenant, events),
      now: () => Date.now(),
      report: (what, error) => this.#report(what, error),
    });
  }

  /** Takes what a shard tells. When it returns, all of it is durable, and what follows from it is on its way. */
  async take(call: KeeperCall): Promise<KeeperAnswer> {
    const answer = this.#keeper.take(call);
    const { dueAt } = this.#sender;
    if (dueAt === null) return answer;
    // Nothing is awaited in between, so the alarm is written with the change: what waits is sent even if the object dies now.
    if (!this.#isArmed) await this.#arm(dueAt);
    this.ctx.waitUntil(this.#sender.run());
    return answer;
  }

  status(): KeeperStatus[] {
    return this.#keeper.status();
  }

  override async alarm(): Promise<void> {
    this.#isArmed = false;
    await this.#sender.run();
    const { dueAt } = this.#sender;
    if (dueAt !== null) await this.#arm(dueAt);
  }

  async #arm(at: number): Promise<void> {
    this.#isArmed = true;
    await this.ctx.storage.setAlarm(at);
  }

  #report(what: string, error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    const line = { level: "error", object: this.ctx.id.name, what, error: String(error), stack };
    // oxlint-disable-next-line no-console -- the platform collects an object's log from the console
    console.error(JSON.stringify(line));
  }
}
