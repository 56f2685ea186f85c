import { alertManagerName, liveHubName, rateControllerName, shardOf, tenantOf } from "../../core/events/names.ts";
import type { PublishedFrame } from "../../core/live/protocol.ts";
import type { ClosedWindow } from "../../core/windows/window-json.ts";
import type { Heard } from "./alert-feed.ts";

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
    await this.#env.LIVE_HUB.getByName(liveHubName(this.tenant)).publish(frames);
  };

  /** Tells the alerts of closed windows. */
  readonly deliver = async (windows: readonly ClosedWindow[]): Promise<Heard> =>
    await this.#env.ALERT_MANAGER.getByName(alertManagerName(this.tenant)).windowsClosed(windows);

  /** Tells how many events were applied in all. */
  readonly tellApplied = async (applied: number): Promise<void> => {
    await this.#rate().applied(applied);
  };

  /** Events accepted so far, those of open leases that may have been included. */
  readonly accepted = async (): Promise<number> => await this.#rate().acceptedEvents();

  /** Has ingest refuse for this reason, or go on again. */
  readonly setStopped = async (reason: string | null): Promise<void> => {
    await this.#rate().setStopped(reason);
  };

  /** Ends the object. What threw is reported, as nobody may be there to hear of it. */
  readonly abort = (error: unknown): void => {
    this.report("aborted", error);
    this.#ctx.abort(`change failed: ${String(error)}`);
  };

  readonly report = (what: string, error: unknown): void => {
    const stack = error instanceof Error ? error.stack : undefined;
    const line = { level: "error", object: this.#ctx.id.name, what, error: String(error), stack };
    // oxlint-disable-next-line no-console -- the platform collects an object's log from the console
    console.error(JSON.stringify(line));
  };

  /** Runs one of several kinds of work, none of which must keep the others from being done when it fails. */
  readonly attempt = async (what: string, work: () => unknown): Promise<void> => {
    try {
      await work();
    } catch (error) {
      this.report(what, error);
    }
  };

  #rate() {
    return this.#env.RATE_CONTROLLER.getByName(rateControllerName(this.tenant));
  }
}
