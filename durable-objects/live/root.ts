import { liveNodeName } from "../../core/events/names.ts";
import type { Outgoing } from "../../core/live/delivery.ts";
import { NodeBook, type NodeReport, type Placement } from "../../core/live/node-book.ts";
import type { Interest, PublishedFrame, Topic } from "../../core/live/protocol.ts";
import type { LiveHub } from "../live-hub.ts";
import { NodeLine } from "./node-line.ts";
import type { LiveSources } from "./sources.ts";
import type { HubShell, Supply } from "./supply.ts";

/** While there are readers, interest is renewed and keys are looked at this often. Each time is a row written. */
export const CHECK_EVERY_MS = 20_000;
/** Interest lasts longer than that, so that one check that fails costs nothing. */
const INTEREST_MS = 60_000;

export interface RootDeps extends HubShell {
  readonly env: Env;
  readonly tenant: string;
  readonly sql: SqlStorage;
  readonly sources: () => LiveSources;
}

/** The tenant's first hub: asks the sources, numbers the frames, and feeds the nodes. */
export class Root implements Supply {
  readonly book = new NodeBook();
  readonly #deps: RootDeps;
  readonly #lines = new Map<number, NodeLine>();
  /** Nodes of an earlier life that have not said yet what they follow. */
  readonly #silent: Set<number>;
  /** Topics that changed before all of those had. */
  readonly #missed = new Set<Topic>();
  #interest: Interest = { topics: [], untilMs: 0 };
  #hasGreeted = false;

  constructor(deps: RootDeps) {
    this.#deps = deps;
    deps.sql.exec("create table if not exists live_nodes (node integer primary key)");
    const known = deps.sql.exec<{ node: number }>("select node from live_nodes").toArray();
    this.#silent = new Set(known.map(({ node }) => node));
    for (const node of this.#silent) this.book.add(node, Date.now());
  }

  get hasWork(): boolean {
    return this.#deps.socketCount() > 0 || this.book.nodes.length > 0;
  }

  socketsChanged(): void {}

  /** Notes what changes while it is not known whether a node follows it. */
  noteMissed(frames: readonly PublishedFrame[]): void {
    if (this.#silent.size > 0) for (const { topic } of frames) this.#missed.add(topic);
  }

  /** Chooses the object of a new socket. A new node costs a row. */
  place(pass: string): Placement {
    const placement = this.book.place(this.#deps.socketCount(), pass, Date.now());
    if (typeof placement === "object" && placement.isNew) this.#know(placement.node);
    return placement;
  }

  /** Takes a frame on its way to a node. @returns false when it is for a socket */
  route(frame: Outgoing): boolean {
    const node = nodeOf(frame.to);
    if (node !== null) this.#line(node).push(frame);
    return node !== null;
  }

  /** Sends what waits for the nodes; those of an earlier life are told of this one. */
  pump(): void {
    const isFirst = !this.#hasGreeted;
    this.#hasGreeted = true;
    if (isFirst) for (const node of this.#silent) this.#deps.background("greet", this.#line(node).pump(true));
    for (const line of this.#lines.values()) this.#deps.background("feed", line.pump());
  }

  /** A node wants snapshots of these topics. */
  follow(node: number, topics: readonly Topic[]): void {
    const now = Date.now();
    this.#know(node);
    for (const topic of topics) this.#deps.hub.receive(readerId(node), { type: "subscribe", topic }, now);
    this.#deps.flush();
  }

  /** A node says how it is and what it follows, of which its readers have all there was unless it is told otherwise. */
  report(node: number, report: NodeReport, topics: readonly Topic[]): void {
    const { hub, flush } = this.#deps;
    this.#know(node);
    this.book.report(node, report, Date.now());
    // What a node of this life follows and we do not know of was lost on the way, and what changed meanwhile nobody noted.
    const missed = this.#silent.has(node) ? this.#missed : new Set(topics);
    hub.resume(readerId(node), topics, missed, Date.now());
    hub.keepOnly(readerId(node), topics, Date.now());
    this.#heard(node);
    flush();
  }

  /** Interest first: whatever changes after the snapshot was taken must be reported. */
  async request(topics: readonly Topic[]): Promise<void> {
    await Promise.all(topics.map((topic) => this.#fetchSnapshot(topic)));
  }

  /** What the hub wants to hear of. */
  interest(): Interest {
    return { topics: this.#deps.hub.followedTopics(Date.now()), untilMs: Date.now() + INTEREST_MS };
  }

  async check(): Promise<void> {
    const now = Date.now();
    for (const node of this.book.idle(now)) this.#drop(node);
    for (const node of this.book.overdue(now)) this.#deps.background("ask", this.#line(node).pump(true));
    await this.#renewInterest();
  }

  /** Every node closes the sockets of this key. */
  async revoke(keyId: string): Promise<void> {
    await Promise.all(this.book.nodes.map((node) => this.#stub(node).revoke(keyId)));
  }

  /** What each node says of itself now; one that does not answer is left out. */
  async nodeFigures(): Promise<Record<string, number>[]> {
    const answers = await Promise.allSettled(this.book.nodes.map((node) => this.#stub(node).figures()));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }

  async #fetchSnapshot(topic: Topic): Promise<void> {
    const { hub } = this.#deps;
    try {
      await this.#showInterest();
      hub.fetched(topic, await this.#deps.sources().snapshot(topic), Date.now());
    } catch (error) {
      hub.fetchFailed(topic, Date.now());
      this.#deps.flush();
      throw new Error(`snapshot of ${topic}`, { cause: error });
    }
    this.#deps.flush();
  }

  async #showInterest(): Promise<void> {
    const topics = this.#deps.hub.followedTopics(Date.now());
    const isKnown = topics.every((topic) => this.#interest.topics.includes(topic));
    if (isKnown && Date.now() + CHECK_EVERY_MS < this.#interest.untilMs) return;
    await this.#renewInterest();
  }

  async #renewInterest(): Promise<void> {
    const interest = this.interest();
    await this.#deps.sources().watch(interest.topics, interest.untilMs);
    this.#interest = interest;
  }

  #line(node: number): NodeLine {
    const known = this.#lines.get(node);
    if (known !== undefined) return known;
    const { hub, flush } = this.#deps;
    const line = new NodeLine({
      send: async (texts) => await this.#stub(node).feed(hub.epoch, texts),
      delivered: (places) => {
        hub.delivered(readerId(node), places, Date.now());
        flush();
      },
      lost: () => {
        hub.rewind(readerId(node), Date.now());
        flush();
      },
    });
    this.#lines.set(node, line);
    return line;
  }

  #know(node: number): void {
    this.book.add(node, Date.now());
    this.#deps.hub.joinNode(readerId(node), Date.now());
    this.#deps.sql.exec("insert into live_nodes (node) values (?) on conflict do nothing", node);
  }

  #drop(node: number): void {
    this.book.drop(node);
    this.#lines.delete(node);
    this.#heard(node);
    this.#deps.hub.leave(readerId(node), Date.now());
    this.#deps.sql.exec("delete from live_nodes where node = ?", node);
  }

  #heard(node: number): void {
    this.#silent.delete(node);
    if (this.#silent.size === 0) this.#missed.clear();
  }

  #stub(node: number): DurableObjectStub<LiveHub> {
    return this.#deps.env.LIVE_HUB.getByName(liveNodeName(this.#deps.tenant, node));
  }
}

/** Sockets have UUIDs, so a node's name is never one. */
function readerId(node: number): string {
  return `node:${node}`;
}

function nodeOf(id: string): number | null {
  return id.startsWith("node:") ? Number(id.slice(5)) : null;
}
