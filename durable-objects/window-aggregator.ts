import { DurableObject } from "cloudflare:workers";
import type { RuleWatch } from "../core/alerts/watch.ts";
import type { Cursor, EventQuery } from "../core/events/query.ts";
import type { Topic, TopicSnapshot } from "../core/live/protocol.ts";
import type { Stretch } from "../core/windows/recount.ts";
import { HOME, type SlotMap } from "../core/windows/slot-map.ts";
import type { PatternDefinition } from "../core/patterns/definition.ts";
import type { Definition } from "../core/windows/definition.ts";
import { Alarm } from "./aggregator/alarm.ts";
import { AlertFeed } from "./aggregator/alert-feed.ts";
import {
  type AggregationInfo,
  Definitions,
  type DeleteResult,
  type PutOptions,
  type PutResult,
} from "./aggregator/definitions.ts";
import { appliedByObject, figuresOf, statsOf, type StatsResult } from "./aggregator/figures.ts";
import { type ShardStanding, standingOf } from "./aggregator/introspection.ts";
import { LateLookups } from "./aggregator/late-lookups.ts";
import { LiveFeed, type Watch } from "./aggregator/live-feed.ts";
import type { ApplyOptions, ApplyOutcome, IncomingMessage } from "./aggregator/messages.ts";
import { type PastPage, type PastQuery, pastWindows } from "./aggregator/past-windows.ts";
import { type HomeAnswer, type PatternInfo, Patterns, type PutPatternResult } from "./aggregator/patterns.ts";
import { Progress } from "./aggregator/progress.ts";
import {
  listWindows,
  queryRange,
  type RangeQuery,
  type RangeResult,
  type WindowPage,
  type WindowsQuery,
} from "./aggregator/read-windows.ts";
import { Sealing } from "./aggregator/sealing.ts";
import { type RebuildAnswer, Rebuilds } from "./aggregator/rebuilds.ts";
import type { RebuildJob } from "./aggregator/rebuild-jobs.ts";
import { Sharding, type ShardsInfo } from "./aggregator/sharding.ts";
import { Shard } from "./aggregator/shard.ts";
import { Shipping } from "./aggregator/shipping.ts";
import { Silence } from "./aggregator/silence.ts";
import { cutOf, type LogPlace, type ShardCut } from "./aggregator/store-cut.ts";
import { Surroundings } from "./aggregator/surroundings.ts";
import type { PatternNews } from "./patterns/messages.ts";
import { windowAggregator } from "./remote.ts";
import { latestEvents, type ShardTail, type TailReader, tailOf } from "./aggregator/tail.ts";

export type { AggregationInfo, PutResult } from "./aggregator/definitions.ts";

/** After an alarm, the next one waits at least this long, so that what fails at once does not ring without pause. */
const MIN_ALARM_PAUSE_MS = 1000;

/** One shard of a tenant's windows: log, dedup, windows and their checkpoint, sealing, live deltas and closed-window notices. */
export class WindowAggregator extends DurableObject<Env> {
  readonly #around: Surroundings;
  readonly #shard: Shard;
  readonly #definitions: Definitions;
  readonly #live: LiveFeed;
  readonly #alerts: AlertFeed;
  readonly #progress: Progress;
  readonly #silence: Silence;
  readonly #late: LateLookups;
  readonly #sealing: Sealing;
  readonly #rebuilds: Rebuilds;
  readonly #patterns: Patterns;
  readonly #shipping: Shipping;
  readonly #sharding: Sharding<Uint8Array>;
  readonly #alarm: Alarm;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const around = new Surroundings(ctx, env);
    const background = (what: string, work: Promise<unknown>): void => this.#inBackground(what, work);
    const shard = new Shard({
      storage: ctx.storage,
      db: env.DB,
      tenant: around.tenant,
      shard: around.shard,
      abort: around.abort,
    });
    this.#around = around;
    this.#shard = shard;
    this.#live = new LiveFeed(shard.machine, around, shard.tables.readMeta("watch") as Watch | undefined);
    this.#alerts = new AlertFeed(shard.tables, shard.machine, around);
    this.#definitions = new Definitions(shard, {
      hasRules: (name) => this.#alerts.isWatched(name),
      onDropped: (aggregation) => {
        this.#live.forget(aggregation);
        this.#alerts.forget(aggregation.plan.definition.name);
      },
      onPlanned: () => this.#alerts.keepTime(),
      onMade: (aggregation, isBackfill) => this.#rebuilds.fill(aggregation, isBackfill),
      isFilling: (aggregation) => this.#rebuilds.isFilling(aggregation),
    });
    this.#rebuilds = new Rebuilds(shard, {
      ...around,
      db: env.DB,
      sealAll: () => this.#sealing.sealAll(),
      shards: () => this.#sharding.others,
      cutShard: (object, places) => windowAggregator(env, around.tenant, object).cutAt(places),
      onBackfilled: (name) => this.#definitions.past.dropAll(name),
      onReplaced: (effect) => {
        this.#live.noteEffects([effect]);
        this.#live.schedule();
      },
    });
    this.#progress = new Progress(shard.tally, {
      ...around,
      store: () => ({
        storeMs: shard.sealer.lastWriteMs,
        storeFailures: shard.sealer.failures,
        storeCircuit: this.#sealing.circuit,
      }),
    });
    this.#silence = new Silence(shard, { tellProgress: () => this.#progress.tell(), accepted: around.accepted });
    this.#late = new LateLookups(shard, around.now, () => this.#tellReaders());
    this.#sealing = new Sealing(shard, { ...around, background });
    this.#shipping = new Shipping(shard, { ...around, background, merge: (delta) => this.#patterns.ship(delta) });
    this.#sharding = new Sharding<Uint8Array>(shard.tables, {
      peer: (object) => (object === around.shard ? this : windowAggregator(env, around.tenant, object)),
      applied: () => appliedByObject(shard),
      now: around.now,
      // On one machine all objects share a thread: more of them are only slower.
      firstMode: env.STREAMFLOW_MODE === "local" ? "manual" : "auto",
    });
    this.#alarm = new Alarm(
      ctx.storage,
      () => this.#due(),
      () => shard.tables.rowsWritten++,
    );
    shard.start({
      counted: (batch, rows) => {
        this.#live.note(batch, rows);
        this.#patterns.feed.note(batch, rows);
      },
      recalled: (batch, rows) => this.#live.recall(batch, rows),
      merged: (delta) => this.#live.noteDelta(delta),
      mergedBefore: (delta) => this.#live.recallDelta(delta),
      affected: (effects) => {
        this.#live.noteEffects(effects);
        this.#alerts.note(effects);
        this.#patterns.feed.noteLogged();
      },
      replayed: (effects) => this.#alerts.note(effects),
      checkpointing: () => {
        this.#alerts.checkpoint();
        this.#patterns.feed.checkpoint();
      },
      heldAfter: () => this.#patterns.feed.heldAfter,
    });
    this.#patterns = new Patterns(shard, { ...around, background });
    shard.machine.alsoWaiting = () => this.#patterns.feed.waiting();
    void ctx.blockConcurrencyWhile(async () => await this.#alarm.load());
  }

  /**
   * Takes messages: decides which events are new, logs them, counts them, in one transaction. When it returns, all of it is durable.
   * Messages with events of slots that this object does not own are refused, each as a whole.
   * @throws when an event cannot be applied; then nothing of the call was
   */
  async apply(
    messages: readonly IncomingMessage[],
    { careful = false, overloads = 0 }: ApplyOptions = {},
  ): Promise<ApplyOutcome> {
    this.#progress.arrived(messages);
    await this.#late.makeRoom();
    const outcome = this.#shard.take(messages, careful, Date.now());
    this.#tellReaders();
    if (overloads > 0) this.#inBackground("overloads", this.#tellOverloads(overloads));
    this.#inBackground("late", this.#late.runSoon());
    this.#inBackground("progress", this.#progress.tellNowAndThen());
    await this.#alarm.arm(0);
    return outcome;
  }

  /** Counts events that left the queue another way, as dead letters: they are no longer on their way here. */
  async settle(events: number): Promise<void> {
    this.#shard.settle(events);
    await this.#progress.tell();
  }

  /** Does now what would happen in time: looks up late events, seals everything, writes a checkpoint. */
  async flush(): Promise<void> {
    await this.#late.run();
    await this.#sealing.sealAll();
    await this.#shipping.run();
    this.#shard.checkpoint();
  }

  /** Merges what a shard counted, if it is what comes next of that shard. Home's to do. */
  async merge(delta: Uint8Array, news?: PatternNews): Promise<HomeAnswer> {
    if (!this.#shard.isHome) throw new Error("only home merges");
    const patterns = this.#patterns.feed.hear(news);
    const answer = patterns === null ? this.#shard.merge(delta, Date.now()) : this.#shard.standing(delta);
    this.#tellReaders();
    await this.#alarm.arm(0);
    return { ...answer, patterns };
  }

  /** Looks up every late event, seals the whole log and has home merge all that was counted. @throws when one of them fails */
  async drain(): Promise<void> {
    await this.#late.run();
    await this.#sealing.sealAll();
    await this.#shipping.run();
  }

  /** What of this shard's log lies before home's place in it. @throws Error when that can no longer be told */
  cutAt(places: readonly LogPlace[]): ShardCut {
    return cutOf(this.#shard, places);
  }

  /** What is remembered of the ids in these slots, for the object that takes them over. */
  exportIds(slots: readonly number[]): Uint8Array {
    return this.#shard.exportIds(slots);
  }

  /** Remembers what another object knew of the ids in these slots, and from then on takes their events. */
  async adopt(epoch: number, slots: readonly number[], ids: Uint8Array): Promise<void> {
    this.#shard.adopt(epoch, slots, ids);
    await this.#alarm.arm(0);
  }

  override async alarm(): Promise<void> {
    this.#alarm.rang();
    const now = Date.now();
    const { attempt } = this.#around;
    // First: what keepers wait for decides when the next idle check is worth while.
    await attempt("patterns", () => this.#patterns.feed.run());
    await attempt("idle check", async () => {
      if (!(await this.#silence.checkIfDue(now))) return;
      this.#live.schedule();
      this.#patterns.feed.schedule();
    });
    await attempt("late", () => this.#late.runIfDue());
    await attempt("seal", () => this.#sealing.sealIfDue());
    await attempt("ship", async () => {
      await this.#shipping.runIfDue();
      this.#shard.saveConfirmed();
    });
    await attempt("alerts", () => this.#alerts.tell());
    await attempt("shards", () => {
      if (this.#sharding.look()) this.#moveSlots();
    });
    await attempt("checkpoint", () => this.#shard.checkpointIfDue(now));
    this.#rebuildNow();
    await this.#alarm.arm(MIN_ALARM_PAUSE_MS);
  }

  /** The unsealed events of a query, in its order, as many as one call can carry. The store has everything before `sealedThrough`. */
  readTail(query: EventQuery, after: Cursor | null, limit: number): ShardTail {
    return { ...tailOf(this.#shard, query, after, limit), others: this.#sharding.others };
  }

  stats(): StatsResult {
    return statsOf(this.#shard);
  }

  /** What an operator may want to know. */
  introspect(): ShardStanding {
    const disabled = this.#definitions.disabled.map(({ name }) => name);
    return standingOf(this.#shard, { disabled, rebuilds: this.#rebuilds.jobs.open }, Date.now());
  }

  /** What `GET /metrics` and the bench read. */
  metrics(): Record<string, number> {
    return figuresOf(this.#shard);
  }

  listAggregations(): AggregationInfo[] {
    return this.#definitions.list();
  }

  getAggregation(name: string): AggregationInfo | null {
    return this.#definitions.get(name);
  }

  /** Makes an aggregation, or replaces one. */
  async putAggregation(definition: Definition, options: PutOptions): Promise<PutResult> {
    const result = this.#definitions.put(definition, options, Date.now());
    this.#rebuildNow();
    await this.#alarm.arm(0);
    return result;
  }

  /** Has windows be counted again from the store: those of one aggregation, or all. */
  async requestRebuild(stretch: Stretch, aggregation: string | null): Promise<RebuildAnswer> {
    const answer = this.#rebuilds.request(stretch, aggregation);
    this.#rebuildNow();
    await this.#alarm.arm(0);
    return answer;
  }

  /** Newest first. */
  listRebuilds(): RebuildJob[] {
    return this.#rebuilds.jobs.list();
  }

  deleteAggregation(name: string): DeleteResult {
    return this.#definitions.delete(name);
  }

  async listPatterns(): Promise<PatternInfo[]> {
    return await this.#patterns.list();
  }

  async getPattern(name: string): Promise<PatternInfo | null> {
    return await this.#patterns.get(name);
  }

  /** Makes a pattern over events from now on, or replaces one. */
  async putPattern(definition: PatternDefinition, mode: "create" | "replace"): Promise<PutPatternResult> {
    const result = await this.#patterns.put(definition, mode);
    await this.#alarm.arm(0);
    return result;
  }

  /** @returns false when there is none */
  async deletePattern(name: string): Promise<boolean> {
    const isDeleted = this.#patterns.delete(name);
    await this.#alarm.arm(0);
    return isDeleted;
  }

  /** @param version one that was replaced, or null for the newest */
  windows(name: string, query: WindowsQuery, version: number | null = null): WindowPage | null {
    const aggregation = this.#definitions.find(name, version);
    return aggregation === undefined ? null : listWindows(aggregation, this.#shard.tables, query);
  }

  /** @param version one that was replaced, or null for the newest */
  queryRange(name: string, query: RangeQuery, version: number | null = null): RangeResult | null {
    const aggregation = this.#definitions.find(name, version);
    return aggregation === undefined ? null : queryRange(aggregation, this.#shard.tables, query);
  }

  /** Closed windows as rules see them. Null when there is no such aggregation. */
  pastWindows(name: string, query: PastQuery): PastPage | null {
    const aggregation = this.#shard.machine.aggregations.get(name);
    return aggregation === undefined ? null : pastWindows(aggregation, this.#shard.tables, query);
  }

  async snapshot(topic: Topic): Promise<TopicSnapshot | null> {
    const isUnseen = topic === "events" && !this.#live.hasEvents && this.#shard.machine.stats.total > 0;
    return isUnseen ? await latestEvents(this.#shard, this.env.DB, this.#otherTails()) : this.#live.snapshot(topic);
  }

  /** Kept: an object that is evicted while nothing comes must still know who waits for what comes next. */
  watch(watch: Watch): void {
    this.#shard.tables.writeMeta("watch", watch);
    this.#live.watch(watch);
  }

  /** Aggregations with rules: what the alerts are told of their windows. */
  watchRules(watches: readonly RuleWatch[]): void {
    this.#alerts.watch(watches);
  }

  /** Which object owns which slots. Home's to answer, like all of `shards`, `setShards` and `noteOverloads`. */
  slotMap(): SlotMap {
    return this.#sharding.handOvers.map;
  }

  shards(): ShardsInfo {
    return this.#sharding.info();
  }

  /** Wants so many shards from now on, or as many as the load asks for. The slots move in the background. */
  async setShards(count: number | "auto"): Promise<ShardsInfo> {
    this.#sharding.want(count);
    this.#moveSlots();
    await this.#alarm.arm(0);
    return this.#sharding.info();
  }

  /** Callers found one of the tenant's objects overloaded. */
  noteOverloads(object: number, times: number): void {
    this.#sharding.noteOverloads(object, times);
  }

  /** Gives slots up: from its return on, their events are refused here. */
  async fence(epoch: number, slots: readonly number[]): Promise<void> {
    this.#shard.slots.fence(epoch, slots);
  }

  /** Forgets ids whose events are no longer taken here, once no event is: the rest would soon be too old anyway. */
  async release(epoch: number, _slots: readonly number[]): Promise<void> {
    if (this.#shard.slots.heeds(epoch) && this.#shard.slots.count === 0) this.#shard.forgetIds();
  }

  /** Answers when the object can take events. @throws when it cannot, whatever they are */
  ping(): true {
    if (this.#late.isStuck) throw new Error("late events wait for the event store");
    return true;
  }

  #otherTails(): TailReader[] {
    const { tenant } = this.#around;
    return this.#sharding.others.map((object) => ({
      object,
      read: (...query) => windowAggregator(this.env, tenant, object).readTail(...query),
    }));
  }

  /** Does the steps of a hand-over, as long as there are any; nobody waits for it. */
  #moveSlots(): void {
    this.#inBackground("hand-over", this.#sharding.handOvers.runIfDue());
  }

  /** Home decides what follows from it. */
  async #tellOverloads(times: number): Promise<void> {
    const { tenant, shard } = this.#around;
    if (shard === HOME) this.noteOverloads(shard, times);
    else await windowAggregator(this.env, tenant, HOME).noteOverloads(shard, times);
  }

  /** Passes on what was just counted; nobody waits for it. */
  #tellReaders(): void {
    if (this.#around.shard === HOME && this.#sharding.look()) this.#moveSlots();
    this.#live.schedule();
    this.#patterns.feed.schedule();
    this.#sealing.noteLogged();
    this.#shipping.noteCounted();
    this.#inBackground("alerts", this.#alerts.tell());
  }

  /** The alarm does not wait for it either: idle checks must go on meanwhile. */
  #rebuildNow(): void {
    if (this.#rebuilds.dueAt !== null) this.#inBackground("rebuild", this.#rebuilds.runIfDue());
  }

  /** When each kind of work is due next. */
  #due(): (number | null)[] {
    const { checkpointDueAt } = this.#shard;
    return [
      this.#silence.dueAt,
      this.#sealing.dueAt,
      checkpointDueAt,
      this.#late.dueAt,
      this.#shipping.dueAt,
      this.#alerts.retryAt,
      this.#patterns.feed.dueAt,
      this.#rebuilds.dueAt,
      ...this.#sharding.dueAt,
    ];
  }

  /** Nobody waits for it. Afterwards something else may be due: an answer may ask for more, and a failure for another try. */
  #inBackground(what: string, work: Promise<unknown>): void {
    const { attempt } = this.#around;
    this.ctx.waitUntil(attempt(what, () => work).then(() => attempt("arm", () => this.#alarm.arm(0))));
  }
}
