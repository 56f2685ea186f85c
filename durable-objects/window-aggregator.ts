import { DurableObject } from "cloudflare:workers";
import type { RuleWatch } from "../core/alerts/watch.ts";
import type { Cursor, EventQuery } from "../core/events/query.ts";
import type { Topic, TopicSnapshot } from "../core/live/protocol.ts";
import type { Stretch } from "../core/windows/recount.ts";
import type { SlotMap } from "../core/windows/slot-map.ts";
import type { PatternDefinition } from "../core/patterns/definition.ts";
import type { Definition } from "../core/windows/definition.ts";
import type { AggregationInfo, DeleteResult, PutOptions, PutResult } from "./aggregator/definitions.ts";
import { figuresOf, statsOf, type StatsResult } from "./aggregator/figures.ts";
import { type ShardStanding, standingOf } from "./aggregator/introspection.ts";
import type { Watch } from "./aggregator/live-feed.ts";
import type { ApplyOptions, ApplyOutcome, IncomingMessage } from "./aggregator/messages.ts";
import { type PastPage, type PastQuery, pastWindows } from "./aggregator/past-windows.ts";
import type { HomeAnswer, PatternInfo, PutPatternResult } from "./aggregator/patterns.ts";
import {
  listWindows,
  queryRange,
  type RangeQuery,
  type RangeResult,
  type WindowPage,
  type WindowsQuery,
} from "./aggregator/read-windows.ts";
import type { RebuildAnswer } from "./aggregator/rebuilds.ts";
import type { RebuildJob } from "./aggregator/rebuild-jobs.ts";
import type { ShardsInfo } from "./aggregator/sharding.ts";
import { cutOf, type LogPlace, type ShardCut } from "./aggregator/store-cut.ts";
import { Parts } from "./aggregator/parts.ts";
import type { PatternNews } from "./patterns/messages.ts";
import { latestEvents, type ShardTail, tailOf } from "./aggregator/tail.ts";

export type { AggregationInfo, PutResult } from "./aggregator/definitions.ts";

/** One shard of a tenant's windows: log, dedup, windows and their checkpoint, sealing, live deltas and closed-window notices. */
export class WindowAggregator extends DurableObject<Env> {
  readonly #parts: Parts;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#parts = new Parts(ctx, env, this);
    void ctx.blockConcurrencyWhile(async () => await this.#parts.alarm.load());
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
    this.#parts.progress.arrived(messages);
    await this.#parts.late.makeRoom();
    const outcome = this.#parts.shard.take(messages, careful, Date.now());
    this.#parts.tellReaders();
    if (overloads > 0) this.#parts.inBackground("overloads", this.#parts.tellOverloads(overloads));
    this.#parts.inBackground("late", this.#parts.late.runSoon());
    this.#parts.inBackground("progress", this.#parts.progress.tellNowAndThen());
    await this.#parts.alarm.arm(0);
    return outcome;
  }

  /** Counts events that left the queue another way, as dead letters: they are no longer on their way here. */
  async settle(events: number): Promise<void> {
    this.#parts.shard.settle(events);
    await this.#parts.progress.tell();
  }

  /** Does now what would happen in time: looks up late events, seals everything, writes a checkpoint. */
  async flush(): Promise<void> {
    await this.#parts.late.run();
    await this.#parts.sealing.sealAll();
    await this.#parts.shipping.run();
    this.#parts.shard.checkpoint();
  }

  /** Merges what a shard counted, if it is what comes next of that shard. Home's to do. */
  async merge(delta: Uint8Array, news?: PatternNews): Promise<HomeAnswer> {
    if (!this.#parts.shard.isHome) throw new Error("only home merges");
    const patterns = this.#parts.patterns.feed.hear(news);
    const answer = patterns === null ? this.#parts.shard.merge(delta, Date.now()) : this.#parts.shard.standing(delta);
    this.#parts.tellReaders();
    await this.#parts.alarm.arm(0);
    return { ...answer, patterns };
  }

  /** Looks up every late event, seals the whole log and has home merge all that was counted. @throws when one of them fails */
  async drain(): Promise<void> {
    await this.#parts.late.run();
    await this.#parts.sealing.sealAll();
    await this.#parts.shipping.run();
  }

  /** What of this shard's log lies before home's place in it. @throws Error when that can no longer be told */
  cutAt(places: readonly LogPlace[]): ShardCut {
    return cutOf(this.#parts.shard, places);
  }

  /** What is remembered of the ids in these slots, for the object that takes them over. */
  exportIds(slots: readonly number[]): Uint8Array {
    return this.#parts.shard.exportIds(slots);
  }

  /** Remembers what another object knew of the ids in these slots, and from then on takes their events. */
  async adopt(epoch: number, slots: readonly number[], ids: Uint8Array): Promise<void> {
    this.#parts.shard.adopt(epoch, slots, ids);
    await this.#parts.alarm.arm(0);
  }

  override async alarm(): Promise<void> {
    await this.#parts.ring();
  }

  /** The unsealed events of a query, in its order, as many as one call can carry. The store has everything before `sealedThrough`. */
  readTail(query: EventQuery, after: Cursor | null, limit: number): ShardTail {
    return { ...tailOf(this.#parts.shard, query, after, limit), others: this.#parts.sharding.others };
  }

  stats(): StatsResult {
    return statsOf(this.#parts.shard);
  }

  /** What an operator may want to know. */
  introspect(): ShardStanding {
    const disabled = this.#parts.definitions.disabled.map(({ name }) => name);
    return standingOf(this.#parts.shard, { disabled, rebuilds: this.#parts.rebuilds.jobs.open }, Date.now());
  }

  /** What `GET /metrics` and the bench read. */
  metrics(): Record<string, number> {
    return figuresOf(this.#parts.shard);
  }

  listAggregations(): AggregationInfo[] {
    return this.#parts.definitions.list();
  }

  getAggregation(name: string): AggregationInfo | null {
    return this.#parts.definitions.get(name);
  }

  /** Makes an aggregation, or replaces one. */
  async putAggregation(definition: Definition, options: PutOptions): Promise<PutResult> {
    const result = this.#parts.definitions.put(definition, options, Date.now());
    this.#parts.rebuildNow();
    await this.#parts.alarm.arm(0);
    return result;
  }

  /** Has windows be counted again from the store: those of one aggregation, or all. */
  async requestRebuild(stretch: Stretch, aggregation: string | null): Promise<RebuildAnswer> {
    const answer = this.#parts.rebuilds.request(stretch, aggregation);
    this.#parts.rebuildNow();
    await this.#parts.alarm.arm(0);
    return answer;
  }

  /** Newest first. */
  listRebuilds(): RebuildJob[] {
    return this.#parts.rebuilds.jobs.list();
  }

  deleteAggregation(name: string): DeleteResult {
    return this.#parts.definitions.delete(name);
  }

  async listPatterns(): Promise<PatternInfo[]> {
    return await this.#parts.patterns.list();
  }

  async getPattern(name: string): Promise<PatternInfo | null> {
    return await this.#parts.patterns.get(name);
  }

  /** Makes a pattern over events from now on, or replaces one. */
  async putPattern(definition: PatternDefinition, mode: "create" | "replace"): Promise<PutPatternResult> {
    const result = await this.#parts.patterns.put(definition, mode);
    await this.#parts.alarm.arm(0);
    return result;
  }

  /** @returns false when there is none */
  async deletePattern(name: string): Promise<boolean> {
    const isDeleted = this.#parts.patterns.delete(name);
    await this.#parts.alarm.arm(0);
    return isDeleted;
  }

  /** @param version one that was replaced, or null for the newest */
  windows(name: string, query: WindowsQuery, version: number | null = null): WindowPage | null {
    const aggregation = this.#parts.definitions.find(name, version);
    return aggregation === undefined ? null : listWindows(aggregation, this.#parts.shard.tables, query);
  }

  /** @param version one that was replaced, or null for the newest */
  queryRange(name: string, query: RangeQuery, version: number | null = null): RangeResult | null {
    const aggregation = this.#parts.definitions.find(name, version);
    return aggregation === undefined ? null : queryRange(aggregation, this.#parts.shard.tables, query);
  }

  /** Closed windows as rules see them. Null when there is no such aggregation. */
  pastWindows(name: string, query: PastQuery): PastPage | null {
    const aggregation = this.#parts.shard.machine.aggregations.get(name);
    return aggregation === undefined ? null : pastWindows(aggregation, this.#parts.shard.tables, query);
  }

  async snapshot(topic: Topic): Promise<TopicSnapshot | null> {
    const isUnseen = topic === "events" && !this.#parts.live.hasEvents && this.#parts.shard.machine.stats.total > 0;
    return isUnseen
      ? await latestEvents(this.#parts.shard, this.env.DB, this.#parts.otherTails())
      : this.#parts.live.snapshot(topic);
  }

  /** Kept: an object that is evicted while nothing comes must still know who waits for what comes next. */
  watch(watch: Watch): void {
    this.#parts.shard.tables.writeMeta("watch", watch);
    this.#parts.live.watch(watch);
  }

  /** Aggregations with rules: what the alerts are told of their windows. */
  watchRules(watches: readonly RuleWatch[]): void {
    this.#parts.alerts.watch(watches);
  }

  /** Which object owns which slots. Home's to answer, like all of `shards`, `setShards` and `noteOverloads`. */
  slotMap(): SlotMap {
    return this.#parts.sharding.handOvers.map;
  }

  shards(): ShardsInfo {
    return this.#parts.sharding.info();
  }

  /** Wants so many shards from now on, or as many as the load asks for. The slots move in the background. */
  async setShards(count: number | "auto"): Promise<ShardsInfo> {
    this.#parts.sharding.want(count);
    this.#parts.moveSlots();
    await this.#parts.alarm.arm(0);
    return this.#parts.sharding.info();
  }

  /** Callers found one of the tenant's objects overloaded. */
  noteOverloads(object: number, times: number): void {
    this.#parts.sharding.noteOverloads(object, times);
  }

  /** Gives slots up: from its return on, their events are refused here. */
  async fence(epoch: number, slots: readonly number[]): Promise<void> {
    this.#parts.shard.slots.fence(epoch, slots);
  }

  /** Forgets ids whose events are no longer taken here, once no event is: the rest would soon be too old anyway. */
  async release(epoch: number, _slots: readonly number[]): Promise<void> {
    if (this.#parts.shard.slots.heeds(epoch) && this.#parts.shard.slots.count === 0) this.#parts.shard.forgetIds();
  }

  /** Answers when the object can take events. @throws when it cannot, whatever they are */
  ping(): true {
    if (this.#parts.late.isStuck) throw new Error("late events wait for the event store");
    return true;
  }
}
