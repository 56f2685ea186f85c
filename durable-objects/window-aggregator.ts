import { DurableObject } from "cloudflare:workers";
import { CorruptBatchError, EventBatch } from "../core/events/event-batch.ts";
import { alertManagerName, liveHubName, rateControllerName, tenantOf } from "../core/events/names.ts";
import { Candidates } from "../core/events/candidates.ts";
import { fittingEvents } from "../core/events/page-bytes.ts";
import { toEventJson } from "../core/events/json.ts";
import { readPage } from "../core/events/page.ts";
import { ALL_EVENTS, type Cursor, type EventQuery } from "../core/events/query.ts";
import type { Tail } from "../core/events/segments.ts";
import type { EventsSnapshot, Topic, TopicSnapshot } from "../core/live/protocol.ts";
import { BUILT_IN_DEFINITIONS, type Definition, definitionSchema } from "../core/windows/definition.ts";
import { restorePage } from "../core/windows/id-page.ts";
import { stepUnitOf, type StepUnit } from "../core/windows/shape.ts";
import { type Plan, type PlanProblem, planOf } from "../core/windows/plan.ts";
import { type Effect, type MachineState, ShardMachine } from "../core/windows/shard-machine.ts";
import { CorruptChunkError, InflateBudget, joinChunks, splitChunks, unpackChunk } from "../storage/chunk.ts";
import { segmentSource } from "../storage/d1/segment-reader.ts";
import { AlertFeed } from "./aggregator/alert-feed.ts";
import { Checkpointer } from "./aggregator/checkpoint.ts";
import { ChunkLog, type KeptChunk, repack } from "./aggregator/chunk-log.ts";
import { LateInbox } from "./aggregator/late-resolver.ts";
import { LATEST_EVENTS, LiveFeed, type Watch } from "./aggregator/live-feed.ts";
import {
  type RangeQuery,
  queryRange,
  type RangeResult,
  listWindows,
  type WindowPage,
  type WindowsQuery,
} from "./aggregator/read-windows.ts";
import { SEAL_AFTER_MS, Sealer } from "./aggregator/sealer.ts";
import { ShardTables } from "./aggregator/tables.ts";

/** Beyond this the log of an object that cannot seal stops growing: ingest answers 503 (DESIGN.md, sealing). */
export const MAX_LOG_BYTES = 1_000_000_000;
/** Events waiting for their look-up before calls wait for it too. */
const MAX_PENDING_LATE = 50_000;
/** Our own outage is believed for this long; then silence counts as silence. */
const MAX_OUTAGE_MS = 15 * 60_000;
const SEAL_RETRY_MS = 5000;
/** Once nothing has come for this long, a remainder worth a segment of its own is sealed without waiting further. */
const QUIET_MS = 500;
const QUIET_SEAL_EVENTS = 250;
/** The rate controller hears of progress at most this often. */
const PROGRESS_EVERY_MS = 1000;
/** Definitions beside the built-in ones. Each is folded for every event. */
export const MAX_AGGREGATIONS = 50;
/** Ids below this are the built-in definitions'. */
const FIRST_USER_ID = 100;

export interface IncomingMessage {
  /** Queue message id, echoed in the outcome. */
  readonly id: string;
  /** A packed chunk. */
  readonly body: Uint8Array;
}

export interface ApplyOutcome {
  readonly fresh: number;
  readonly duplicates: number;
  /** Events put into the late inbox. */
  readonly late: number;
  /** Ids of messages that cannot be read and never will be; the others were applied. */
  readonly unreadable: readonly string[];
}

export interface AggregationInfo {
  readonly definition: Definition;
  readonly version: number;
  readonly builtIn: boolean;
  readonly steps: StepUnit;
  /** Epoch ms, or null before the first event. */
  readonly watermark: number | null;
  readonly lateEvents: number;
  readonly duplicateEvents: number;
  readonly filterErrors: number;
  readonly openWindows: number;
}

export type PutResult =
  | { readonly ok: true; readonly aggregation: AggregationInfo; readonly created: boolean }
  | { readonly ok: false; readonly reason: "problems"; readonly problems: readonly PlanProblem[] }
  | { readonly ok: false; readonly reason: "built_in" | "exists" | "too_many" | "not_found" };

/** One shard of a tenant's windows: log, dedup, windows and their checkpoint, sealing, live deltas and closed-window notices. */
export class WindowAggregator extends DurableObject<Env> {
  readonly #tables: ShardTables;
  readonly #tenant: string;
  readonly #incarnation: string;
  readonly #machine: ShardMachine;
  readonly #log: ChunkLog;
  readonly #sealer: Sealer;
  readonly #checkpointer: Checkpointer;
  readonly #late: LateInbox;
  readonly #live: LiveFeed;
  readonly #alerts: AlertFeed;
  readonly #budget = new InflateBudget();
  /** Events taken from the queue since the object began, duplicates included. */
  #applied: number;
  #checkpointEntry: number;
  /** Where the checkpoint before the last one was. */
  #trimmableEntry: number;
  #oldestUnsealedAt: number | null = null;
  #sealRetryAt: number | null = null;
  #outageSince: number | null = null;
  #tickRetryAt: number | null = null;
  #progressToldAt = 0;
  #isStopped = false;
  #alarmAt: number | null = null;
  #resolving: Promise<void> | undefined;
  #quietTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#tenant = tenantOf(ctx.id.name);
    this.#tables = new ShardTables(ctx.storage.sql);
    const meta = this.#tables.readMeta("machine") as Saved | undefined;
    this.#incarnation = meta?.incarnation ?? crypto.randomUUID().slice(0, 8);
    this.#applied = meta?.applied ?? 0;
    this.#checkpointEntry = meta?.checkpointEntry ?? 0;
    this.#trimmableEntry = meta?.trimmableEntry ?? 0;
    this.#checkpointer = new Checkpointer(this.#tables, meta?.storedIds ?? 0);
    this.#machine = new ShardMachine(
      meta?.machine,
      this.#plans(),
      (aggregation, start) => {
        const parts = this.#tables.windowParts(aggregation, start);
        return parts.length === 0 ? undefined : parts;
      },
      (words, at, group) => this.#checkpointer.journal.add(words, at, group),
    );
    for (const page of this.#tables.idPages()) restorePage(page, this.#machine.deduplicator);
    this.#log = new ChunkLog(this.#tables, meta?.nextSeq ?? 0, this.#checkpointEntry);
    const owner = { tenant: this.#tenant, shard: 0, incarnation: this.#incarnation };
    this.#sealer = new Sealer(this.#tables, this.#log, env.DB, owner);
    this.#late = new LateInbox(this.#tables, env.DB, owner);
    const onError = (what: string) => (error: unknown) => this.#report(what, error);
    this.#live = new LiveFeed(
      this.#machine,
      {
        publish: (frames) => env.LIVE_HUB.getByName(liveHubName(this.#tenant)).publish(frames),
        later: (work, delayMs) => setTimeout(work, delayMs),
        now: () => Date.now(),
        onError: onError("publish"),
      },
      this.#tables.readMeta("watch") as Watch | undefined,
    );
    this.#alerts = new AlertFeed(
      this.#tables,
      this.#machine,
      (windows) => env.ALERT_MANAGER.getByName(alertManagerName(this.#tenant)).windowsClosed(windows),
      onError("tell alerts"),
    );
    this.#replay();
    if (meta === undefined) this.#saveMeta();
    void ctx.blockConcurrencyWhile(async () => {
      this.#alarmAt = await ctx.storage.getAlarm();
    });
  }

  /**
   * Takes messages: decides which events are new, logs them, counts them, in one transaction. When it returns, all of it is durable.
   * @param careful decode every row first, so that a bad message fails before anything has changed
   * @throws when an event cannot be applied; then nothing of the call was
   */
  async apply(messages: readonly IncomingMessage[], careful = false): Promise<ApplyOutcome> {
    while (this.#late.size > MAX_PENDING_LATE) await this.#resolveLate();
    const now = Date.now();
    // One at a time: inflated text is several times a message's size, and decoded columns again.
    for (const message of careful ? messages : []) checkRows(this.#decode(message.body));
    const outcome = this.#orAbort(() => this.#applyAll(messages, now));
    await this.#afterChange(now);
    return outcome;
  }

  /** Counts events that left the queue another way, as dead letters: they are no longer on their way here. */
  async settle(events: number): Promise<void> {
    this.#applied += events;
    await this.#tellProgress(Date.now(), true);
  }

  /** Does now what would happen in time: looks up late events, seals everything, writes a checkpoint. */
  async flush(): Promise<void> {
    const now = Date.now();
    await this.#resolveLate();
    await this.#sealer.seal(true, now);
    this.#oldestUnsealedAt = null;
    this.#orAbort(() => this.#checkpoint());
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    const now = Date.now();
    try {
      await this.#idleCheck(now);
      await this.#resolveLate();
      await this.#sealIfDue(now);
      await this.#alerts.tell(now);
      if (isDue(this.#checkpointer.dueAt, now)) this.#orAbort(() => this.#checkpoint());
    } catch (error) {
      this.#report("alarm", error);
    } finally {
      await this.#arm(1000);
    }
  }

  /** The unsealed events of a query, in its order, as many as one call can carry. The store has everything before `sealedThrough`. */
  readTail(query: EventQuery, after: Cursor | null, limit: number): Omit<Tail, "shard"> {
    const candidates = new Candidates(query, after, limit);
    for (const chunk of this.#log.chunks) candidates.add(this.#log.batch(chunk));
    const events = fittingEvents(candidates.events);
    const isCut = events.length < candidates.events.length;
    return { events, isCut, sealedThrough: this.#sealer.sealedThrough, incarnation: this.#incarnation };
  }

  stats(): StatsResult {
    const { total, byType, bySource, oldest, newest } = this.#machine.stats.toJSON();
    return {
      total_events: total,
      events_by_type: { ...byType },
      events_by_source: { ...bySource },
      storage_size_bytes: this.#storedBytes(),
      oldest_event: oldest,
      newest_event: newest,
    };
  }

  /** What `GET /metrics` and the bench read. */
  metrics(): Record<string, number> {
    const { stats, deduplicator, duplicates } = this.#machine;
    return {
      events_stored: stats.total,
      events_duplicate: duplicates,
      events_applied: this.#applied,
      unsealed_events: this.#log.unsealedEvents,
      events_late_pending: this.#late.size,
      log_bytes: this.#log.unsealedBytes,
      remembered_ids: deduplicator.memory.size,
      remembered_id_bytes: deduplicator.memory.bytes,
      object_rows_written: this.#tables.rowsWritten,
      d1_rows_written: this.#sealer.rowsWritten,
      segments_written: this.#sealer.segments,
      seal_failures: this.#sealer.failures,
      inflated_bytes_peak: this.#budget.peak,
      database_bytes: this.#tables.databaseBytes,
    };
  }

  listAggregations(): AggregationInfo[] {
    return [...this.#machine.aggregations.keys()].flatMap((name) => this.getAggregation(name) ?? []);
  }

  getAggregation(name: string): AggregationInfo | null {
    const aggregation = this.#machine.aggregations.get(name);
    if (aggregation === undefined) return null;
    return {
      definition: aggregation.plan.definition,
      version: aggregation.version,
      builtIn: aggregation.id < FIRST_USER_ID,
      steps: stepUnitOf(aggregation.plan.shape),
      watermark: Number.isFinite(aggregation.watermark) ? aggregation.watermark : null,
      lateEvents: aggregation.lateEvents,
      duplicateEvents: this.#machine.duplicates - aggregation.duplicatesBefore,
      filterErrors: aggregation.filterErrors,
      openWindows: aggregation.windows.countOpen(),
    };
  }

  /**
   * Makes an aggregation, or replaces one. One that counts otherwise than before (filter, window, groups or measures) starts
   * anew as the next version; with other times only, it goes on.
   */
  async putAggregation(definition: Definition, mode: "create" | "replace"): Promise<PutResult> {
    const known = this.#machine.aggregations.get(definition.name);
    if (known !== undefined && known.id < FIRST_USER_ID) return { ok: false, reason: "built_in" };
    if (mode === "create" && known !== undefined) return { ok: false, reason: "exists" };
    if (mode === "replace" && known === undefined) return { ok: false, reason: "not_found" };
    const defined = this.#tables.definitions();
    if (known === undefined && defined.length >= MAX_AGGREGATIONS) return { ok: false, reason: "too_many" };
    const planned = planOf(definition);
    if (!planned.ok) return { ok: false, reason: "problems", problems: planned.problems };
    this.#orAbort(() => {
      if (known !== undefined && countsAlike(known.plan.definition, definition)) {
        this.#tables.writeDefinition(known.id, known.version, definition, Date.now());
        this.#machine.retime(known, planned.plan);
      } else {
        const id = this.#takeAggregationId();
        if (known !== undefined) this.#drop(known.id);
        this.#tables.writeDefinition(id, (known?.version ?? 0) + 1, definition, Date.now());
        this.#machine.define(id, (known?.version ?? 0) + 1, planned.plan);
      }
      this.#checkpoint();
    });
    const aggregation = this.getAggregation(definition.name);
    if (aggregation === null) throw new Error("a defined aggregation is gone");
    await this.#arm(0);
    return { ok: true, aggregation, created: known === undefined };
  }

  deleteAggregation(name: string): "deleted" | "not_found" | "built_in" | "has_rules" {
    const known = this.#machine.aggregations.get(name);
    if (known === undefined) return "not_found";
    if (known.id < FIRST_USER_ID) return "built_in";
    if (this.#alerts.watched.has(name)) return "has_rules";
    this.#orAbort(() => {
      this.#machine.aggregations.delete(name);
      this.#drop(known.id);
      this.#checkpoint();
    });
    return "deleted";
  }

  windows(name: string, query: WindowsQuery): WindowPage | null {
    const aggregation = this.#machine.aggregations.get(name);
    return aggregation === undefined ? null : listWindows(aggregation, this.#tables, query);
  }

  queryRange(name: string, query: RangeQuery): RangeResult | null {
    const aggregation = this.#machine.aggregations.get(name);
    return aggregation === undefined ? null : queryRange(aggregation, this.#tables, query);
  }

  async snapshot(topic: Topic): Promise<TopicSnapshot | null> {
    // An object that woke to be asked has seen no event yet; the store has the latest.
    if (topic === "events" && !this.#live.hasEvents && this.#machine.stats.total > 0) return await this.#storedEvents();
    return this.#live.snapshot(topic);
  }

  /** Kept: an object that is evicted while nothing comes must still know who waits for what comes next. */
  watch(watch: Watch): void {
    this.#tables.writeMeta("watch", watch);
    this.#live.watch(watch);
  }

  watchRules(aggregations: readonly string[]): void {
    this.#alerts.watch(aggregations);
  }

  /** Answers when the object is up. */
  ping(): true {
    return true;
  }

  async #storedEvents(): Promise<EventsSnapshot> {
    const request = { query: ALL_EVENTS, after: null, limit: LATEST_EVENTS };
    const tail = { shard: 0, ...this.readTail(ALL_EVENTS, null, LATEST_EVENTS + 1) };
    const page = await readPage(request, [tail], segmentSource(this.env.DB, this.#tenant, ALL_EVENTS, null));
    return { events: page.events.map(toEventJson) };
  }

  #applyAll(messages: readonly IncomingMessage[], now: number): ApplyOutcome {
    const kept: KeptChunk[] = [];
    const late: { ids: string[]; body: Uint8Array }[] = [];
    const effects: Effect[] = [];
    const unreadable: string[] = [];
    let duplicates = 0;
    for (const { id, body } of messages) {
      const batch = this.#decode(body);
      if (batch === undefined) {
        unreadable.push(id);
        continue;
      }
      const offer = this.#machine.offer(batch, (id) => this.#late.has(id));
      duplicates += offer.duplicates;
      this.#applied += batch.length;
      if (offer.fresh.length > 0) {
        const isWhole = offer.fresh.length === batch.length;
        kept.push(
          isWhole
            ? { events: batch.length, body, batch }
            : { events: offer.fresh.length, body: repack(batch, offer.fresh) },
        );
        effects.push(...this.#machine.fold(batch, offer.fresh));
        this.#live.note(batch, offer.fresh);
      }
      if (offer.unknown.length > 0) {
        const ids = [...offer.unknown].map((row) => batch.ids[row] ?? "");
        const chunk = { ids, body: repack(batch, offer.unknown) };
        this.#late.add(ids.length, ids, joinChunks([chunk.body]));
        late.push(chunk);
      }
    }
    this.#commit(kept, effects, now);
    const fresh = kept.reduce((sum, chunk) => sum + chunk.events, 0);
    return { fresh, duplicates, late: late.reduce((sum, { ids }) => sum + ids.length, 0), unreadable };
  }

  /** The events of a message, or undefined when it cannot be read. */
  #decode(body: Uint8Array): EventBatch | undefined {
    try {
      const text = unpackChunk(body, this.#budget);
      try {
        return EventBatch.fromText(text);
      } finally {
        this.#budget.release(body);
      }
    } catch (error) {
      if (error instanceof CorruptChunkError || error instanceof CorruptBatchError) return undefined;
      throw error;
    }
  }

  /** Logs what was folded and notes who has to hear of it. */
  #commit(kept: readonly KeptChunk[], effects: readonly Effect[], now: number): void {
    if (kept.length > 0) {
      this.#log.append(kept, now);
      const bytes = kept.reduce((sum, { body }) => sum + body.length, 0);
      const events = kept.reduce((sum, chunk) => sum + chunk.events, 0);
      this.#checkpointer.noteLogged(events, bytes, now);
      this.#oldestUnsealedAt ??= now;
    }
    this.#live.noteEffects(effects);
    this.#alerts.note(effects);
    if (isDue(this.#checkpointer.dueAt, now)) this.#checkpoint();
  }

  async #afterChange(now: number): Promise<void> {
    this.#live.schedule();
    if (this.#sealer.isDue()) this.#inBackground("seal", this.#sealIfDue(now));
    if (this.#log.unsealedEvents >= QUIET_SEAL_EVENTS) this.#sealWhenQuiet();
    if (this.#late.size > 0) this.#inBackground("late", this.#resolveLate());
    this.#inBackground("alerts", this.#tellAlerts(now));
    this.#inBackground("progress", this.#tellProgress(now, false));
    await this.#arm(0);
  }

  /** Rebuilds memory from the checkpoint and the log behind it. */
  #replay(): void {
    const unsealedFrom = this.#sealer.sealedThrough;
    for (const logged of this.#tables.logAfter(0)) {
      if (logged.kind === "tick") {
        this.#log.lastEntry = logged.entry;
        if (logged.entry > this.#checkpointEntry) this.#alerts.note(this.#machine.tick(logged.at));
        continue;
      }
      const batches = splitChunks(logged.body).map((chunk) => EventBatch.fromText(unpackChunk(chunk)));
      for (const batch of batches) this.#live.recall(batch, allRows(batch));
      if (logged.entry > this.#checkpointEntry) {
        for (const batch of batches) {
          this.#machine.remember(batch);
          this.#alerts.note(this.#machine.fold(batch, allRows(batch)));
        }
        this.#applied += logged.events;
        this.#checkpointer.noteLogged(logged.events, logged.body.length, logged.at);
      }
      this.#log.recover(logged, batches, unsealedFrom);
      if (this.#log.unsealedEvents > 0) this.#oldestUnsealedAt ??= logged.at;
    }
  }

  #checkpoint(): void {
    this.#checkpointer.write(this.#machine);
    this.#alerts.checkpoint();
    this.#trimmableEntry = this.#checkpointEntry;
    this.#checkpointEntry = this.#log.lastEntry;
    this.#saveMeta();
    this.#trim();
  }

  #saveMeta(): void {
    const saved: Saved = {
      incarnation: this.#incarnation,
      checkpointEntry: this.#checkpointEntry,
      trimmableEntry: this.#trimmableEntry,
      nextSeq: this.#log.nextSeq,
      applied: this.#applied,
      storedIds: this.#checkpointer.storedIds,
      machine: this.#machine.toJSON(),
    };
    this.#tables.writeMeta("machine", saved);
  }

  /**
   * Log rows go only up to what is both sealed and checkpointed, one checkpoint later than they could: what live readers see of the
   * last minutes is read back from them after an eviction.
   */
  #trim(): void {
    const through = Math.min(this.#trimmableEntry, this.#log.sealedEntry);
    if (through > 0) this.#tables.trimLog(through);
  }

  /** Only a convenience for who reads the store: should the object vanish meanwhile, the alarm seals. */
  #sealWhenQuiet(): void {
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(() => this.#inBackground("seal", this.#sealIfDue(Date.now(), true)), QUIET_MS);
  }

  async #sealIfDue(now: number, isQuiet = false): Promise<void> {
    const isOld = this.#oldestUnsealedAt !== null && now >= this.#oldestUnsealedAt + SEAL_AFTER_MS;
    const isAll = isOld || (isQuiet && this.#log.unsealedEvents >= QUIET_SEAL_EVENTS);
    if (!isAll && !this.#sealer.isDue()) return;
    if (this.#sealRetryAt !== null && now < this.#sealRetryAt) return;
    try {
      await this.#sealer.seal(isAll, now);
      this.#sealRetryAt = null;
      this.#oldestUnsealedAt = this.#log.unsealedEvents > 0 ? now : null;
      this.#trim();
    } catch (error) {
      this.#sealRetryAt = Date.now() + SEAL_RETRY_MS * Math.min(12, this.#sealer.failures);
      this.#report("seal", error);
    }
    await this.#stopOrGoOn();
  }

  /** Tells ingest to refuse while the log cannot be drained, and to go on once it can. */
  async #stopOrGoOn(): Promise<void> {
    const isFull = this.#log.unsealedBytes > MAX_LOG_BYTES && this.#sealer.failures > 0;
    if (isFull === this.#isStopped) return;
    await this.#rateController().setStopped(isFull ? "the event store is full or away" : null);
    this.#isStopped = isFull;
  }

  /** Tells the alerts, then arms: an answer may ask for empty windows as well. */
  async #tellAlerts(now: number): Promise<void> {
    await this.#alerts.tell(now);
    await this.#arm(0);
  }

  async #resolveLate(): Promise<void> {
    this.#resolving ??= this.#resolveOnce().finally(() => {
      this.#resolving = undefined;
    });
    await this.#resolving;
  }

  async #resolveOnce(): Promise<void> {
    while (this.#late.size > 0) {
      const resolved = await this.#late.resolve(this.#log);
      if (resolved === undefined) return;
      const now = Date.now();
      this.#orAbort(() => {
        const kept: KeptChunk[] = [];
        const effects: Effect[] = [];
        this.#machine.duplicates += resolved.duplicates;
        for (const { batch, rows } of resolved.batches) {
          if (rows.length === 0) continue;
          const body = repack(batch, rows);
          const fresh = EventBatch.fromText(unpackChunk(body));
          this.#machine.remember(fresh);
          effects.push(...this.#machine.fold(fresh, allRows(fresh)));
          this.#live.note(fresh, allRows(fresh));
          kept.push({ events: rows.length, body, batch: fresh });
        }
        this.#late.settle(resolved);
        this.#commit(kept, effects, now);
      });
      this.#live.schedule();
      this.#inBackground("alerts", this.#tellAlerts(now));
      if (this.#sealer.isDue()) this.#inBackground("seal", this.#sealIfDue(now));
    }
  }

  /** Closes windows of silent sources, unless events are on their way: then the silence is ours. */
  async #idleCheck(now: number): Promise<void> {
    if (!isDue(this.#machine.nextTickAt(), now)) return;
    if (await this.#isBehind(now)) {
      this.#tickRetryAt = now + PROGRESS_EVERY_MS;
      return;
    }
    this.#tickRetryAt = null;
    this.#orAbort(() => {
      const effects = this.#machine.tick(now);
      this.#log.appendTick(now);
      this.#commit([], effects, now);
    });
    this.#live.schedule();
  }

  async #isBehind(now: number): Promise<boolean> {
    await this.#tellProgress(now, true);
    const onTheirWay = (await this.#rateController().acceptedEvents()) - this.#applied;
    if (onTheirWay <= 0) {
      this.#outageSince = null;
      return false;
    }
    this.#outageSince ??= now;
    return now < this.#outageSince + MAX_OUTAGE_MS;
  }

  async #tellProgress(now: number, always: boolean): Promise<void> {
    if (!always && now < this.#progressToldAt + PROGRESS_EVERY_MS) return;
    this.#progressToldAt = now;
    await this.#rateController().applied(this.#applied);
  }

  /** Sets the alarm for the next thing due, if that is earlier than the one set: each setting is a row written. */
  async #arm(minDelayMs: number): Promise<void> {
    const tickAt = this.#machine.nextTickAt();
    const due = [
      tickAt === null ? null : Math.max(tickAt, this.#tickRetryAt ?? 0),
      this.#oldestUnsealedAt === null ? null : Math.max(this.#oldestUnsealedAt + SEAL_AFTER_MS, this.#sealRetryAt ?? 0),
      this.#checkpointer.dueAt,
      this.#late.size > 0 ? Date.now() + 1000 : null,
      this.#alerts.retryAt,
    ].filter((at) => at !== null);
    if (due.length === 0) return;
    const next = Math.max(Math.min(...due), Date.now() + minDelayMs);
    if (this.#alarmAt !== null && this.#alarmAt <= next) return;
    this.#alarmAt = next;
    this.#tables.rowsWritten++;
    await this.ctx.storage.setAlarm(next);
  }

  /** Runs a change of memory and disk; if it throws midway, the object starts anew from disk, so memory is never ahead of it. */
  #orAbort<T>(change: () => T): T {
    try {
      return this.ctx.storage.transactionSync(change);
    } catch (error) {
      this.#report("aborted", error);
      this.ctx.abort(`change failed: ${String(error)}`);
      throw error;
    }
  }

  #inBackground(what: string, work: Promise<unknown>): void {
    this.ctx.waitUntil(work.catch((error: unknown) => this.#report(what, error)));
  }

  #report(what: string, error: unknown): void {
    // oxlint-disable-next-line no-console -- the platform collects an object's log from the console
    console.error(
      JSON.stringify({
        level: "error",
        object: this.ctx.id.name,
        what,
        error: String(error),
        stack: error instanceof Error ? error.stack : undefined,
      }),
    );
  }

  #plans(): { id: number; plan: Plan }[] {
    const builtIn = BUILT_IN_DEFINITIONS.map((definition, k) => ({ id: k + 1, plan: planOrThrow(definition) }));
    const own = this.#tables
      .definitions()
      .map(({ id, body }) => ({ id, plan: planOrThrow(definitionSchema.parse(body)) }));
    return [...builtIn, ...own];
  }

  #takeAggregationId(): number {
    const next = (this.#tables.readMeta("next_aggregation") as number | undefined) ?? FIRST_USER_ID;
    this.#tables.writeMeta("next_aggregation", next + 1);
    return next;
  }

  #drop(aggregation: number): void {
    this.#tables.dropDefinition(aggregation);
    this.#tables.dropWindows(aggregation);
  }

  #storedBytes(): number {
    return this.#sealer.storedBytes + this.#log.unsealedBytes;
  }

  #rateController() {
    return this.env.RATE_CONTROLLER.getByName(rateControllerName(this.#tenant));
  }
}

export interface StatsResult {
  readonly total_events: number;
  readonly events_by_type: Record<string, number>;
  readonly events_by_source: Record<string, number>;
  readonly storage_size_bytes: number;
  /** Epoch ms. */
  readonly oldest_event: number | null;
  readonly newest_event: number | null;
}

interface Saved {
  readonly incarnation: string;
  readonly checkpointEntry: number;
  readonly trimmableEntry: number;
  readonly nextSeq: number;
  readonly applied: number;
  readonly storedIds: number;
  readonly machine: MachineState;
}

/** True when two definitions put the same events into the same windows, groups and measures. */
function countsAlike(a: Definition, b: Definition): boolean {
  return counting(a) === counting(b);
}

function counting({ filter, window, group_by, measures, max_groups }: Definition): string {
  return JSON.stringify([filter, window, group_by, Object.entries(measures), max_groups]);
}

const isDue = (at: number | null, now: number): boolean => at !== null && at <= now;

function allRows(batch: EventBatch): Uint32Array {
  return Uint32Array.from({ length: batch.length }, (_, row) => row);
}

/** Builds every event once, so that a column that does not fit fails here. */
function checkRows(batch: EventBatch | undefined): void {
  if (batch === undefined) return;
  for (let row = 0; row < batch.length; row++) batch.event(row);
}

function planOrThrow(definition: Definition): Plan {
  const planned = planOf(definition);
  if (!planned.ok)
    throw new Error(`stored definition ${definition.name} no longer compiles: ${planned.problems[0]?.message ?? ""}`);
  return planned.plan;
}
