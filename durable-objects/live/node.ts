import { liveHubName } from "../../core/events/names.ts";
import type { ServerFrame, Topic } from "../../core/live/protocol.ts";
import type { LiveHub } from "../live-hub.ts";
import type { HubShell, Supply } from "./supply.ts";

export interface NodeDeps extends HubShell {
  readonly env: Env;
  readonly tenant: string;
  /** From 1. */
  readonly node: number;
}

/** A hub for sockets beyond the root's: repeats the root's frames by their numbers, and asks it for snapshots. */
export class Node implements Supply {
  readonly #deps: NodeDeps;
  /** One stub: calls through it arrive in the order in which they were made. */
  readonly #root: DurableObjectStub<LiveHub>;
  #arrived: string[] = [];
  #isReporting = false;
  #isReportDue = false;

  constructor(deps: NodeDeps) {
    this.#deps = deps;
    this.#root = deps.env.LIVE_HUB.getByName(liveHubName(deps.tenant));
  }

  get hasWork(): boolean {
    return this.#deps.socketCount() > 0;
  }

  socketsChanged(pass?: string): void {
    if (pass !== undefined) this.#arrived.push(pass);
    this.#isReportDue = true;
    this.#deps.background("report", this.#report());
  }

  /** Frames from the root. */
  feed(epoch: string, texts: readonly string[]): void {
    this.#adopt(epoch);
    for (const text of texts) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the root's own frames
      this.#deps.hub.repeat(JSON.parse(text) as ServerFrame, text, Date.now());
    }
    this.#deps.flush();
  }

  async request(topics: readonly Topic[]): Promise<void> {
    try {
      this.#adopt(await this.#root.nodeFollows(this.#deps.node, topics));
    } catch (error) {
      for (const topic of topics) this.#deps.hub.fetchFailed(topic, Date.now());
      this.#deps.flush();
      throw error;
    }
  }

  async check(): Promise<void> {
    this.#deps.hub.askAgain();
    this.#deps.flush();
    this.#isReportDue = true;
    await this.#report();
  }

  /** A root that does not know this node yet must hear what it follows. */
  #adopt(epoch: string): void {
    if (!this.#deps.hub.adopt(epoch, Date.now())) return;
    this.socketsChanged();
    this.#deps.flush();
  }

  /** One at a time: what changes meanwhile is told by the next. One that fails is made up for by the next check. */
  async #report(): Promise<void> {
    if (this.#isReporting) return;
    this.#isReporting = true;
    try {
      while (this.#isReportDue) await this.#reportNow();
    } finally {
      this.#isReporting = false;
    }
  }

  async #reportNow(): Promise<void> {
    this.#isReportDue = false;
    const arrived = this.#arrived;
    this.#arrived = [];
    const { hub, node, socketCount } = this.#deps;
    const report = { sockets: socketCount(), arrived };
    this.#adopt(await this.#root.nodeReports(node, report, hub.followedTopics(Date.now())));
  }
}
