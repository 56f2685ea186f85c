import type { Outgoing } from "../../../core/live/delivery.ts";
import { Hub } from "../../../core/live/hub.ts";
import type { NodeReport } from "../../../core/live/node-book.ts";
import type { AggregationSnapshot, PublishedFrame, Topic } from "../../../core/live/protocol.ts";
import { Node } from "../../../durable-objects/live/node.ts";
import { Root } from "../../../durable-objects/live/root.ts";
import { ModelClient } from "../live-hub/client.ts";

const ROOT = "t:acme:live";
/** Every call takes some time; a lost one is noticed after this long. */
const CALL_MS = 10;

/** How the next calls between objects go: `lost` never arrives, `unanswered` does its work and then fails. */
export type Fate = "fine" | "lost" | "unanswered";

/** One object: a hub with its sockets and the part that makes it root or node. As in durable-objects/live-hub.ts, without sockets. */
class Shell {
  readonly hub: Hub;
  readonly root: Root | null;
  readonly node: Node | null;
  isAlive = true;
  readonly #tree: Tree;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(tree: Tree, name: string, life: number) {
    this.#tree = tree;
    const number = Number(name.split(":")[3] ?? 0);
    this.hub = new Hub(number === 0 ? `r${life}` : "");
    const deps = {
      hub: this.hub,
      socketCount: () => 1,
      flush: () => this.flush(),
      background: (_what: string, work: Promise<void>) => void work.catch(() => undefined),
      tenant: "acme",
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of the environment only the hubs are used
      env: { LIVE_HUB: { getByName: (called: string) => tree.stub(called, this) } } as unknown as Env,
    };
    const sql = tree.sql;
    this.root = number === 0 ? new Root({ ...deps, sql, sources: () => tree.sources }) : null;
    this.node = number === 0 ? null : new Node({ ...deps, node: number });
  }

  flush(): void {
    if (!this.isAlive) return;
    for (const frame of this.hub.takeOutbox()) if (this.root?.route(frame) !== true) this.#tree.take(frame);
    this.hub.takeEnded();
    this.root?.pump();
    const wanted = this.hub.takeRequests(Date.now());
    const supply = this.root ?? this.node;
    if (wanted.length > 0) supply?.request(wanted).catch(() => undefined);
    clearTimeout(this.#timer);
    const next = this.hub.nextTickMs();
    if (next !== null) this.#timer = setTimeout(() => this.#tick(), Math.max(0, next - Date.now()));
  }

  die(): void {
    this.isAlive = false;
    clearTimeout(this.#timer);
  }

  #tick(): void {
    if (!this.isAlive) return;
    this.hub.tick(Date.now());
    this.flush();
  }
}

/** A root and two nodes that call each other over a network that loses calls, over one source. Needs fake timers. */
export class Tree {
  readonly clients = new Map<string, { readonly client: ModelClient; readonly at: string }>();
  readonly states = new Map<string, AggregationSnapshot>();
  fate: Fate = "fine";
  readonly #shells = new Map<string, Shell>();
  readonly #rows = new Set<number>();
  #life = 0;

  constructor() {
    for (const name of [ROOT, `${ROOT}:1`, `${ROOT}:2`]) this.#shells.set(name, new Shell(this, name, this.#life));
  }

  readonly sources = {
    snapshot: async (topic: Topic): Promise<AggregationSnapshot | null> => {
      const state = this.states.get(topic) ?? null;
      await later(CALL_MS);
      return state;
    },
    watch: async (): Promise<void> => undefined,
    activeKeys: async (keys: readonly string[]): Promise<ReadonlySet<string>> => new Set(keys),
  };

  /** Rows of the root's nodes, which outlive it. */
  get sql(): SqlStorage {
    const exec = (query: string, node?: number): { toArray: () => { node: number }[] } => {
      if (query.startsWith("insert") && node !== undefined) this.#rows.add(node);
      if (query.startsWith("delete") && node !== undefined) this.#rows.delete(node);
      return { toArray: () => [...this.#rows].map((known) => ({ node: known })) };
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the root uses of it
    return { exec } as unknown as SqlStorage;
  }

  /** @param at 0 for the root */
  join(id: string, at: number): void {
    const name = at === 0 ? ROOT : `${ROOT}:${at}`;
    const client = new ModelClient(id);
    this.clients.set(id, { client, at: name });
    this.#shells.get(name)?.hub.join(id, Date.now());
    this.#shells.get(name)?.node?.socketsChanged();
  }

  subscribe(id: string, topic: Topic, after?: string): void {
    const frame =
      after === undefined ? ({ type: "subscribe", topic } as const) : ({ type: "subscribe", topic, after } as const);
    this.#receive(id, frame);
  }

  ack(id: string, topic: Topic): void {
    const seq = this.clients.get(id)?.client.seqs.get(topic);
    if (seq !== undefined) this.#receive(id, { type: "ack", topic, seq });
  }

  publish(frame: PublishedFrame): void {
    const root = this.#shells.get(ROOT);
    root?.root?.noteMissed([frame]);
    root?.hub.publish([frame], Date.now());
    root?.flush();
  }

  /** What every object does every 20 s. */
  check(): void {
    for (const { root, node } of this.#shells.values()) (root ?? node)?.check().catch(() => undefined);
  }

  /** An object loses its memory; its sockets stay. */
  restart(at: number): void {
    const name = at === 0 ? ROOT : `${ROOT}:${at}`;
    const before = this.#shells.get(name);
    before?.die();
    this.#life += 1;
    const shell = new Shell(this, name, this.#life);
    this.#shells.set(name, shell);
    for (const [id, { at: home }] of this.clients) {
      if (home === name) shell.hub.join(id, Date.now(), before?.hub.stateOf(id) ?? { acks: false, topics: [] });
    }
  }

  take({ to, text }: Outgoing): void {
    this.clients.get(to)?.client.take(text, Date.now());
  }

  stub(name: string, caller: Shell): object {
    const call = async <T>(work: (shell: Shell) => T): Promise<T> => {
      const { fate } = this;
      await later(CALL_MS);
      const shell = this.#shells.get(name);
      if (fate === "lost" || shell === undefined) throw new Error("lost");
      const result = work(shell);
      await later(CALL_MS);
      if (fate === "unanswered" || !caller.isAlive || !shell.isAlive) throw new Error("unanswered");
      return result;
    };
    return {
      feed: (epoch: string, texts: readonly string[]) => call(({ node }) => node?.feed(epoch, texts)),
      nodeFollows: (node: number, topics: readonly Topic[]) =>
        call(({ root, hub }) => (root?.follow(node, topics), hub.epoch)),
      nodeReports: (node: number, report: NodeReport, topics: readonly Topic[]) =>
        call(({ root, hub }) => (root?.report(node, report, topics), hub.epoch)),
    };
  }

  #receive(id: string, frame: Parameters<Hub["receive"]>[1]): void {
    const shell = this.#shells.get(this.clients.get(id)?.at ?? "");
    shell?.hub.admit(id, Date.now());
    shell?.hub.receive(id, frame, Date.now());
    shell?.flush();
  }
}

async function later(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
