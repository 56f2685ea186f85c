import type { Hub } from "../../../core/live/hub.ts";
import { parseSeq } from "../../../core/live/protocol.ts";
import type {
  AggregationDelta,
  AggregationSnapshot,
  ServerFrame,
  Topic,
  WindowJson,
} from "../../../core/live/protocol.ts";
import { foldAggregation } from "../../../core/live/topics.ts";

export const TOPIC = "aggregation:requests";

/** One window whose only number is `count`. */
export function windowOf(minute: number, count: number): WindowJson {
  const start = new Date(minute * 60_000).toISOString();
  const end = new Date((minute + 1) * 60_000).toISOString();
  return { start, end, status: "open", revision: 0, partial: false, group: {}, values: { count } };
}

export function deltaOf(...windows: WindowJson[]): AggregationDelta {
  return { watermark: null, windows };
}

export function snapshotOf(...windows: WindowJson[]): AggregationSnapshot {
  return { name: "requests", watermark: null, windows };
}

/** A reader that believes every rule of the protocol, and says when one is broken. */
export class ModelClient {
  readonly id: string;
  readonly frames: { readonly atMs: number; readonly frame: ServerFrame }[] = [];
  readonly faults: string[] = [];
  readonly states = new Map<string, AggregationSnapshot>();
  readonly seqs = new Map<string, string>();
  /** Topics with a gap and no snapshot since. */
  readonly gaps = new Set<string>();

  constructor(id: string) {
    this.id = id;
  }

  get types(): string[] {
    return this.frames.map(({ frame }) => frame.type);
  }

  take(text: string, atMs: number): void {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the test's own codec
    const frame = JSON.parse(text) as ServerFrame;
    this.frames.push({ atMs, frame });
    if (frame.type === "gap") this.gaps.add(frame.topic);
    if (frame.type === "snapshot") {
      this.gaps.delete(frame.topic);
      this.seqs.set(frame.topic, frame.seq);
      if ("windows" in frame.data && "name" in frame.data) this.states.set(frame.topic, frame.data);
    }
    if (frame.type === "delta") this.#apply(frame.topic, frame.seq, frame.data);
  }

  #apply(topic: string, seq: string, data: unknown): void {
    const state = this.states.get(topic);
    const [last, next] = [parseSeq(this.seqs.get(topic) ?? ""), parseSeq(seq)];
    if (state === undefined || last === null || next === null) return this.#fault(`delta ${seq} without a snapshot`);
    if (this.gaps.has(topic)) return this.#fault(`delta ${seq} after a gap`);
    if (next.epoch !== last.epoch || next.n !== last.n + 1)
      return this.#fault(`delta ${seq} after ${last.epoch}.${last.n}`);
    this.seqs.set(topic, seq);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the test's own codec
    this.states.set(topic, foldAggregation(state, data as AggregationDelta));
    return undefined;
  }

  #fault(text: string): void {
    this.faults.push(text);
  }
}

/** A hub with its clients, a clock, and a source that answers when told to. */
export class Scene {
  readonly hub: Hub;
  readonly clients = new Map<string, ModelClient>();
  readonly requests: Topic[] = [];
  nowMs = 1_000_000;

  constructor(hub: Hub) {
    this.hub = hub;
  }

  join(id: string): ModelClient {
    const client = new ModelClient(id);
    this.clients.set(id, client);
    this.hub.join(id, this.nowMs);
    return client;
  }

  subscribe(id: string, topic: Topic = TOPIC, after?: string): void {
    this.hub.receive(
      id,
      after === undefined ? { type: "subscribe", topic } : { type: "subscribe", topic, after },
      this.nowMs,
    );
    this.flush();
  }

  ack(id: string, topic: Topic = TOPIC): void {
    const seq = this.clients.get(id)?.seqs.get(topic);
    if (seq === undefined) return;
    this.hub.receive(id, { type: "ack", topic, seq }, this.nowMs);
    this.flush();
  }

  publish(count: number, topic: `aggregation:${string}` = TOPIC, minute = 0): void {
    this.hub.publish([{ topic, data: deltaOf(windowOf(minute, count)) }], this.nowMs);
    this.flush();
  }

  answer(topic: Topic, snapshot: AggregationSnapshot | null): void {
    this.hub.fetched(topic, snapshot, this.nowMs);
    this.flush();
  }

  /** Lets time pass, with every tick the hub asks for. */
  pass(milliseconds: number): void {
    const end = this.nowMs + milliseconds;
    for (;;) {
      const next = this.hub.nextTickMs();
      if (next === null || next > end) break;
      this.nowMs = Math.max(this.nowMs, next);
      this.hub.tick(this.nowMs);
      this.flush();
    }
    this.nowMs = end;
  }

  flush(): void {
    for (const { to, text } of this.hub.takeOutbox()) this.clients.get(to)?.take(text, this.nowMs);
    this.requests.push(...this.hub.takeRequests(this.nowMs));
  }
}

/** Most frames of topics a client got within any second; answers to its own mistakes do not count. */
export function busiestSecond(client: ModelClient): number {
  const times = client.frames.filter(({ frame }) => frame.type !== "error").map(({ atMs }) => atMs);
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length));
}
