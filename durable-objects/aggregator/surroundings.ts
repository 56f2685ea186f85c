import { alertManagerName, liveHubName, rateControllerName, shardOf, tenantOf } from "../../core/events/names.ts";
import type { PublishedFrame } from "../../core/live/protocol.ts";
import type { ClosedWindow } from "../../core/windows/window-json.ts";
import type { KeeperAnswer, KeeperCall, KeeperStatus, PatternNews } from "../patterns/messages.ts";
import { patternKeeper } from "../patterns/remote.ts";
import { HOME } from "../../core/windows/slot-map.ts";
import { windowAggregator } from "../remote.ts";
import type { ShardSigns } from "../rate/downstream.ts";
import { logFailure } from "../failure-log.ts";
import type { Heard } from "./alert-feed.ts";
import type { HomeAnswer } from "./patterns.ts";
import type { EarlyWindow } from "./early-watch.ts";

/** What the parts of a WindowAggregator need of the world: the tenant's other objects, time, and a place for errors. */
export class Surroundings {
  readonly tenant: string;
  /** This object's number; 0 is home. */
  readonly shard: number;
  readonly #ctx: DurableObjectState;
  readonly #env: Env;

  constructor(ctx: DurableObjectState, env: Env) {
    this.tenant = tenantOf(ctx.id.name);
    this.shard = shardOf(ctx.id.name);
    this.#ctx = ctx;
    this.#env = env;
  }

  readonly now = (): number => Date.now();

  readonly later = (work: () => void, delayMs: number): void => {
    setTimeout(work, delayMs);
  };

  readonly sleep = (ms: number): Promise<void> => scheduler.wait(ms);

  /** Tells live readers. */
  readonly publish = async (frames: readonly PublishedFrame[]): Promise<void> => {
    this.#assertCurrent();
    await this.#env.LIVE_HUB.getByName(liveHubName(this.tenant)).publish(frames);
  };

  /** Tells the alerts of closed windows. */
  readonly deliver = async (windows: readonly ClosedWindow[]): Promise<Heard> => {
    this.#assertCurrent();
    return await this.#env.ALERT_MANAGER.getByName(alertManagerName(this.tenant)).windowsClosed(windows);
  };

  /** Tells a keeper of events and watermarks. */
  readonly tell = async (keeper: number, call: KeeperCall): Promise<KeeperAnswer> =>
    await patternKeeper(this.#env, this.tenant, keeper).take(call);

  /** What a keeper holds. */
  readonly statusOf = async (keeper: number): Promise<readonly KeeperStatus[]> =>
    await patternKeeper(this.#env, this.tenant, keeper).status();

  /** Tells the alerts of open windows that rules already hold for. */
  readonly deliverEarly = async (windows: readonly EarlyWindow[]): Promise<Heard> => {
    this.#assertCurrent();
    return await this.#env.ALERT_MANAGER.getByName(alertManagerName(this.tenant)).windowsOpen(windows);
  };

  /** Has home merge a delta. */
  readonly merge = async (delta: Uint8Array, news: PatternNews): Promise<HomeAnswer> =>
    await windowAggregator(this.#env, this.tenant, HOME).merge(delta, news);

  /** Tells how many events were applied in all. */
  readonly tellApplied = async (applied: number, signs: ShardSigns): Promise<void> => {
    await this.#rate().applied(applied, this.shard, signs);
  };

  /** Events accepted so far, those of open leases that may have been included. */
  readonly accepted = async (): Promise<number> => await this.#rate().acceptedEvents();

  /** Has ingest refuse for this reason, or go on again. */
  readonly setStopped = async (reason: string | null): Promise<void> => {
    await this.#rate().setStopped(reason, this.shard);
  };

  /** Ends the object. What threw is reported, as nobody may be there to hear of it. */
  readonly abort = (error: unknown): void => {
    this.report("aborted", error);
    this.#ctx.abort(`change failed: ${String(error)}`);
  };

  readonly report = (what: string, error: unknown): void => logFailure(this.#ctx.id.name, what, error);

  /** Runs one of several kinds of work, none of which must keep the others from being done when it fails. */
  readonly attempt = async (what: string, work: () => unknown): Promise<void> => {
    try {
      await work();
    } catch (error) {
      this.report(what, error);
    }
  };

  /**
   * An instance that another has replaced may go on for a while and would tell of what is no more. Only its storage knows.
   * @throws in such an instance: the platform closes its storage to it
   */
  #assertCurrent(): void {
    this.#ctx.storage.sql.exec("select 1");
  }

  #rate() {
    return this.#env.RATE_CONTROLLER.getByName(rateControllerName(this.tenant));
  }
}
