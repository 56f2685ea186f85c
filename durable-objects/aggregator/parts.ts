import type { Peer } from "./hand-over.ts";
import { HOME } from "../../core/windows/slot-map.ts";
import { windowAggregator } from "../remote.ts";
import { Alarm } from "./alarm.ts";
import { AlertFeed } from "./alert-feed.ts";
import { Definitions } from "./definitions.ts";
import { appliedByObject } from "./figures.ts";
import { LateLookups } from "./late-lookups.ts";
import { LiveFeed, type Watch } from "./live-feed.ts";
import { Patterns } from "./patterns.ts";
import { Progress } from "./progress.ts";
import { Rebuilds } from "./rebuilds.ts";
import { Sealing } from "./sealing.ts";
import { Shard } from "./shard.ts";
import { Sharding } from "./sharding.ts";
import { Shipping } from "./shipping.ts";
import { Silence } from "./silence.ts";
import { Surroundings } from "./surroundings.ts";
import type { TailReader } from "./tail.ts";

/** After an alarm, the next one waits at least this long, so that what fails at once does not ring without pause. */
const MIN_ALARM_PAUSE_MS = 1000;

/** The parts of a WindowAggregator and how they are joined: who tells whom, what is due when, what an alarm does. */
export class Parts {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly around: Surroundings;
  readonly shard: Shard;
  readonly definitions: Definitions;
  readonly live: LiveFeed;
  readonly alerts: AlertFeed;
  readonly progress: Progress;
  readonly silence: Silence;
  readonly late: LateLookups;
  readonly sealing: Sealing;
  readonly rebuilds: Rebuilds;
  readonly patterns: Patterns;
  readonly shipping: Shipping;
  readonly sharding: Sharding<Uint8Array>;
  readonly alarm: Alarm;

  /** @param self the object itself, for what home asks of every shard */
  constructor(ctx: DurableObjectState, env: Env, self: Peer<Uint8Array>) {
    this.#ctx = ctx;
    this.#env = env;
    const around = new Surroundings(ctx, env);
    const background = (what: string, work: Promise<unknown>): void => this.inBackground(what, work);
    const shard = new Shard({
      storage: ctx.storage,
      db: env.DB,
      tenant: around.tenant,
      shard: around.shard,
      abort: around.abort,
    });
    this.around = around;
    this.shard = shard;
    this.live = new LiveFeed(shard.machine, around, shard.tables.readMeta("watch") as Watch | undefined);
    this.alerts = new AlertFeed(shard.tables, shard.machine, around);
    this.definitions = new Definitions(shard, {
      hasRules: (name) => this.alerts.isWatched(name),
      onDropped: (aggregation) => {
        this.live.forget(aggregation);
        this.alerts.forget(aggregation.plan.definition.name);
      },
      onPlanned: () => this.alerts.keepTime(),
      onMade: (aggregation, isBackfill) => this.rebuilds.fill(aggregation, isBackfill),
      isFilling: (aggregation) => this.rebuilds.isFilling(aggregation),
    });
    this.rebuilds = new Rebuilds(shard, {
      ...around,
      db: env.DB,
      sealAll: () => this.sealing.sealAll(),
      shards: () => this.sharding.others,
      cutShard: (object, places) => windowAggregator(env, around.tenant, object).cutAt(places),
      onBackfilled: (name) => this.definitions.past.dropAll(name),
      onReplaced: (effect) => {
        this.live.noteEffects([effect]);
        this.live.schedule();
      },
    });
    this.progress = new Progress(shard.tally, {
      ...around,
      windowsWritten: () => shard.tables.windowRowsWritten,
      store: () => ({
        storeMs: shard.sealer.lastWriteMs,
        storeFailures: shard.sealer.failures,
        storeCircuit: this.sealing.circuit,
      }),
    });
    this.silence = new Silence(shard, { tellProgress: () => this.progress.tell(), accepted: around.accepted });
    this.late = new LateLookups(shard, around.now, () => this.tellReaders());
    this.sealing = new Sealing(shard, { ...around, background });
    this.shipping = new Shipping(shard, { ...around, background, merge: (delta) => this.patterns.ship(delta) });
    this.sharding = new Sharding<Uint8Array>(shard.tables, {
      peer: (object) => (object === around.shard ? self : windowAggregator(env, around.tenant, object)),
      applied: () => appliedByObject(shard),
      now: around.now,
      // On one machine all objects share a thread: more of them are only slower.
      firstMode: env.STREAMFLOW_MODE === "local" ? "manual" : "auto",
    });
    this.alarm = new Alarm(
      ctx.storage,
      () => this.#due(),
      () => shard.tables.rowsWritten++,
    );
    shard.start({
      counted: (batch, rows) => {
        this.live.note(batch, rows);
        this.patterns.feed.note(batch, rows);
      },
      recalled: (batch, rows) => this.live.recall(batch, rows),
      merged: (delta) => this.live.noteDelta(delta),
      mergedBefore: (delta) => this.live.recallDelta(delta),
      affected: (effects) => {
        this.live.noteEffects(effects);
        this.alerts.note(effects);
        this.patterns.feed.noteLogged();
      },
      replayed: (effects) => this.alerts.note(effects),
      checkpointing: () => {
        this.alerts.checkpoint();
        this.patterns.feed.checkpoint();
      },
      heldAfter: () => this.patterns.feed.heldAfter,
    });
    this.patterns = new Patterns(shard, { ...around, background });
    shard.machine.alsoWaiting = () => this.patterns.feed.waiting();
  }

  /** What an alarm does: each kind of work that is due, none of which must keep the others from being done. */
  async ring(): Promise<void> {
    this.alarm.rang();
    const now = Date.now();
    const { attempt } = this.around;
    // First: what keepers wait for decides when the next idle check is worth while.
    await attempt("patterns", () => this.patterns.feed.run());
    await attempt("idle check", async () => {
      if (!(await this.silence.checkIfDue(now))) return;
      this.live.schedule();
      this.patterns.feed.schedule();
    });
    await attempt("late", () => this.late.runIfDue());
    await attempt("seal", () => this.sealing.sealIfDue());
    await attempt("ship", async () => {
      await this.shipping.runIfDue();
      this.shard.saveConfirmed();
    });
    await attempt("alerts", () => this.alerts.tell());
    await attempt("shards", () => {
      if (this.sharding.look()) this.moveSlots();
    });
    await attempt("checkpoint", () => this.shard.checkpointIfDue(now));
    this.rebuildNow();
    await this.alarm.arm(MIN_ALARM_PAUSE_MS);
  }

  /** Readers of the unsealed events that other objects of the tenant hold. */
  otherTails(): TailReader[] {
    const { tenant } = this.around;
    return this.sharding.others.map((object) => ({
      object,
      read: (...query) => windowAggregator(this.#env, tenant, object).readTail(...query),
    }));
  }

  /** Does the steps of a hand-over, as long as there are any; nobody waits for it. */
  moveSlots(): void {
    this.inBackground("hand-over", this.sharding.handOvers.runIfDue());
  }

  /** Home decides what follows from it. */
  async tellOverloads(times: number): Promise<void> {
    const { tenant, shard } = this.around;
    if (shard === HOME) this.sharding.noteOverloads(shard, times);
    else await windowAggregator(this.#env, tenant, HOME).noteOverloads(shard, times);
  }

  /** Passes on what was just counted; nobody waits for it. */
  tellReaders(): void {
    if (this.around.shard === HOME && this.sharding.look()) this.moveSlots();
    this.live.schedule();
    this.patterns.feed.schedule();
    this.sealing.noteLogged();
    this.shipping.noteCounted();
    this.inBackground("alerts", this.alerts.tell());
  }

  /** The alarm does not wait for it either: idle checks must go on meanwhile. */
  rebuildNow(): void {
    if (this.rebuilds.dueAt !== null) this.inBackground("rebuild", this.rebuilds.runIfDue());
  }

  /** When each kind of work is due next. */
  #due(): (number | null)[] {
    const { checkpointDueAt } = this.shard;
    return [
      this.silence.dueAt,
      this.sealing.dueAt,
      checkpointDueAt,
      this.late.dueAt,
      this.shipping.dueAt,
      this.alerts.retryAt,
      this.patterns.feed.dueAt,
      this.rebuilds.dueAt,
      ...this.sharding.dueAt,
    ];
  }

  /** Nobody waits for it. Afterwards something else may be due: an answer may ask for more, and a failure for another try. */
  inBackground(what: string, work: Promise<unknown>): void {
    const { attempt } = this.around;
    this.#ctx.waitUntil(attempt(what, () => work).then(() => attempt("arm", () => this.alarm.arm(0))));
  }
}
