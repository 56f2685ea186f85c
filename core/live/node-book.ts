/** How many sockets there may be. */
export interface FanOutLimits {
  readonly socketsPerObject: number;
  /** Objects beside the root. */
  readonly nodes: number;
}

/** 1,000 sockets of four frames a second are 4,000 sends and as many acks a second for one thread. 16,000 sockets per tenant in all. */
export const FAN_OUT_LIMITS: FanOutLimits = { socketsPerObject: 1_000, nodes: 15 };
/** A socket that was sent to a node and has not arrived after this long will not. */
const PASS_MS = 30_000;
/** A node without sockets is kept this long: many that left come back. */
export const NODE_IDLE_MS = 60_000;
/** A node reports every 20 s; one that has not for so long is asked. */
const REPORT_OVERDUE_MS = 50_000;

/** What a node says of itself. */
export interface NodeReport {
  readonly sockets: number;
  /** Passes of sockets that have arrived since the last report. */
  readonly arrived: readonly string[];
}

/** Where a new socket goes. */
export type Placement = "here" | "full" | { readonly node: number; readonly isNew: boolean };

interface Entry {
  sockets: number;
  reportedAtMs: number;
  /** When it last had a socket, or one on its way, epoch ms. */
  busyAtMs: number;
  /** When each socket on its way was sent there. */
  readonly passes: Map<string, number>;
}

/** The root's knowledge of its nodes: where new sockets go, and which nodes are there for nobody. */
export class NodeBook {
  limits: FanOutLimits = FAN_OUT_LIMITS;
  readonly #nodes = new Map<number, Entry>();

  /** The nodes' numbers, ascending. */
  get nodes(): number[] {
    return [...this.#nodes.keys()].sort((a, b) => a - b);
  }

  /** Adds a node known from before, or one that calls. Nothing is sent there until it has said how many sockets it has. */
  add(node: number, nowMs: number): void {
    if (this.#nodes.has(node)) return;
    const sockets = this.limits.socketsPerObject;
    this.#nodes.set(node, { sockets, reportedAtMs: Number.NEGATIVE_INFINITY, busyAtMs: nowMs, passes: new Map() });
  }

  drop(node: number): void {
    this.#nodes.delete(node);
  }

  report(node: number, report: NodeReport, nowMs: number): void {
    this.add(node, nowMs);
    const entry = this.#nodes.get(node);
    if (entry === undefined) return;
    for (const pass of report.arrived) entry.passes.delete(pass);
    entry.sockets = report.sockets;
    entry.reportedAtMs = nowMs;
    if (loadOf(entry, nowMs) > 0) entry.busyAtMs = nowMs;
  }

  /**
   * Chooses the object of a new socket: the root while it has room, then the fullest node that has, then a new one. So nodes
   * empty when sockets leave, and can be dropped.
   * @param pass a name of its own for the socket on its way
   */
  place(ownSockets: number, pass: string, nowMs: number): Placement {
    const { socketsPerObject, nodes } = this.limits;
    if (ownSockets < socketsPerObject) return "here";
    let best: { node: number; load: number } | null = null;
    for (const [node, entry] of this.#nodes) {
      const load = loadOf(entry, nowMs);
      if (load < socketsPerObject && (best === null || load > best.load)) best = { node, load };
    }
    if (best !== null) return this.#send(best.node, pass, nowMs, false);
    const free = Array.from({ length: nodes }, (_, index) => index + 1).find((node) => !this.#nodes.has(node));
    if (free === undefined) return "full";
    this.add(free, nowMs);
    this.report(free, { sockets: 0, arrived: [] }, nowMs);
    return this.#send(free, pass, nowMs, true);
  }

  /** Nodes that had no socket for a while, and can go. */
  idle(nowMs: number): number[] {
    return this.nodes.filter((node) => {
      const entry = this.#nodes.get(node);
      return entry !== undefined && loadOf(entry, nowMs) === 0 && nowMs - entry.busyAtMs > NODE_IDLE_MS;
    });
  }

  /** Nodes that should have said something. */
  overdue(nowMs: number): number[] {
    return this.nodes.filter((node) => nowMs - (this.#nodes.get(node)?.reportedAtMs ?? nowMs) > REPORT_OVERDUE_MS);
  }

  #send(node: number, pass: string, nowMs: number, isNew: boolean): Placement {
    const entry = this.#nodes.get(node);
    entry?.passes.set(pass, nowMs);
    if (entry !== undefined) entry.busyAtMs = nowMs;
    return { node, isNew };
  }
}

/** Sockets there and on their way. */
function loadOf({ sockets, passes }: Entry, nowMs: number): number {
  for (const [pass, sentAtMs] of passes) {
    if (nowMs - sentAtMs <= PASS_MS) break;
    passes.delete(pass);
  }
  return sockets + passes.size;
}
