import { DurableObject } from "cloudflare:workers";
import { tenantOf } from "../core/events/names.ts";
import { logFailure } from "./failure-log.ts";
import { Keeper } from "./patterns/keeper.ts";
import { MatchSender } from "./patterns/match-sender.ts";
import type { KeeperAnswer, KeeperCall, KeeperStatus } from "./patterns/messages.ts";
import { matchGate } from "./patterns/remote.ts";

/** The local queue lives in memory: a platform that is killed forgets what was sent to it. Nothing waits there for longer than this as a rule. */
const KEEP_SENT_LOCALLY_MS = 5 * 60_000;

/** Some keys of a tenant's patterns: holds their events until the watermark has passed, and tells of matches. Named `t:<tenant>:patterns:<n>`. */
export class PatternKeeper extends DurableObject<Env> {
  readonly #keeper: Keeper;
  readonly #sender: MatchSender;
  /** When the alarm is known to ring, epoch ms: each setting is a row written. */
  #armedFor = Infinity;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const tenant = tenantOf(ctx.id.name);
    this.#keeper = new Keeper({
      storage: ctx.storage,
      abort: (error) => {
        logFailure(ctx.id.name, "aborted", error);
        ctx.abort(`change failed: ${String(error)}`);
      },
    });
    this.#sender = new MatchSender(this.#keeper.tables, {
      send: async (events) => await matchGate(ctx).take(tenant, events),
      // Only the local platform has the variable.
      keepSentMs: "QUEUE_EPOCH" in env ? KEEP_SENT_LOCALLY_MS : 0,
      now: () => Date.now(),
      report: (what, error) => logFailure(ctx.id.name, what, error),
    });
  }

  /** Takes what a shard tells. When it returns, all of it is durable, and what follows from it is on its way. */
  async take(call: KeeperCall): Promise<KeeperAnswer> {
    const answer = this.#keeper.take(call);
    const { dueAt } = this.#sender;
    if (dueAt === null) return answer;
    // Nothing is awaited in between, so the alarm is written with the change: what waits is sent even if the object dies now.
    if (dueAt < this.#armedFor) await this.#arm(dueAt);
    this.ctx.waitUntil(this.#sender.run());
    return answer;
  }

  status(): KeeperStatus[] {
    return this.#keeper.status();
  }

  override async alarm(): Promise<void> {
    this.#armedFor = Infinity;
    await this.#sender.run();
    const { dueAt } = this.#sender;
    if (dueAt !== null) await this.#arm(dueAt);
  }

  async #arm(at: number): Promise<void> {
    this.#armedFor = at;
    await this.ctx.storage.setAlarm(at);
  }
}
