// More sockets than one object takes: the root sends them to nodes, which repeat its frames.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { liveHubName, liveNodeName } from "../../core/events/names.ts";
import { NODE_IDLE_MS } from "../../core/live/node-book.ts";
import { MAX_UNACKED_FRAMES } from "../../core/live/position.ts";
import { type AggregationSnapshot, CLOSE_REVOKED, parseSeq, type WindowJson } from "../../core/live/protocol.ts";
import { FRAME_INTERVAL_MS } from "../../core/live/topic-log.ts";
import { foldAggregation } from "../../core/live/topics.ts";
import { LiveHub } from "../../durable-objects/live-hub.ts";
import type { LiveSources } from "../../durable-objects/live/sources.ts";
import { call, makeKey, makeTenant } from "./http-client.ts";
import { type LiveSocket, openLive, upgrade } from "./live-socket.ts";

const TOPIC = "aggregation:requests";
const PER_OBJECT = 2;
const NODES = 2;
const WAIT = { timeout: 5_000, interval: 10 };

/** A source with one aggregation. */
class FakeSources implements LiveSources {
  state: AggregationSnapshot = { name: "requests", watermark: null, windows: [] };
  watched: readonly string[] = [];

  async snapshot(topic: string): Promise<AggregationSnapshot | null> {
    return topic === TOPIC ? this.state : null;
  }

  async watch(topics: readonly string[]): Promise<void> {
    this.watched = topics;
  }

  async activeKeys(keyIds: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set(keyIds);
  }
}

interface Stage {
  readonly tenant: string;
  readonly root: DurableObjectStub<LiveHub>;
  readonly nodes: readonly DurableObjectStub<LiveHub>[];
  readonly sources: FakeSources;
  readonly key: { id: string; key: string };
  readonly adminKey: string;
}

async function plug(hub: DurableObjectStub<LiveHub>, sources: FakeSources): Promise<void> {
  await runInDurableObject(hub, (instance: LiveHub) => {
    instance.sources = sources;
    instance.limits = { socketsPerObject: PER_OBJECT, nodes: NODES };
  });
}

/** A tenant whose objects take two sockets each. */
async function stage(): Promise<Stage> {
  const { id: tenant, adminKey } = await makeTenant();
  const key = await makeKey(adminKey, "viewer");
  const root = env.LIVE_HUB.getByName(liveHubName(tenant));
  const nodes = [1, 2].map((node) => env.LIVE_HUB.getByName(liveNodeName(tenant, node)));
  const sources = new FakeSources();
  for (const hub of [root, ...nodes]) await plug(hub, sources);
  return { tenant, root, nodes, sources, key, adminKey };
}

function windowOf(minute: number, count: number): WindowJson {
  const start = new Date(minute * 60_000).toISOString();
  const end = new Date((minute + 1) * 60_000).toISOString();
  return { start, end, status: "open", revision: 0, partial: false, group: {}, values: { count } };
}

async function change({ root, sources }: Stage, minute: number, count: number): Promise<void> {
  const delta = { watermark: null, windows: [windowOf(minute, count)] };
  sources.state = foldAggregation(sources.state, delta);
  await root.publish([{ topic: TOPIC, data: delta }]);
}

/** What a client that folds every frame knows; null after a delta that does not follow on what it had. */
function folded(socket: LiveSocket): AggregationSnapshot | null {
  let state: AggregationSnapshot | null = null;
  let last = "";
  for (const frame of socket.frames) {
    if (frame.type !== "snapshot" && frame.type !== "delta") continue;
    if (frame.type === "snapshot" && "windows" in frame.data && "name" in frame.data) state = frame.data;
    if (frame.type === "delta" && "windows" in frame.data && state !== null) {
      const [before, now] = [parseSeq(last), parseSeq(frame.seq)];
      if (before?.epoch !== now?.epoch || before?.n !== (now?.n ?? 0) - 1)
        throw new Error(`${frame.seq} after ${last}`);
      state = foldAggregation(state, frame.data);
    }
    last = frame.seq;
  }
  return state;
}

async function open(scene: Stage, count: number): Promise<LiveSocket[]> {
  const sockets: LiveSocket[] = [];
  for (let at = 0; at < count; at++) sockets.push(await openLive(scene.key.key));
  return sockets;
}

async function expectAllRight(scene: Stage, sockets: readonly LiveSocket[]): Promise<void> {
  for (const socket of sockets) await vi.waitFor(() => expect(folded(socket)).toEqual(scene.sources.state), WAIT);
}

async function socketsOf(hub: DurableObjectStub<LiveHub>): Promise<number> {
  return await runInDurableObject(hub, (_instance: LiveHub, state) => state.getWebSockets().length);
}

function seqOf(socket: LiveSocket | undefined): string {
  const last = socket?.frames.at(-1);
  return last !== undefined && "seq" in last ? last.seq : "";
}

/** Five sockets on three objects that have seen a snapshot and a delta. */
async function following(): Promise<{ scene: Stage; sockets: LiveSocket[] }> {
  const scene = await stage();
  const sockets = await open(scene, 5);
  for (const socket of sockets) socket.subscribe(TOPIC);
  for (const socket of sockets) await socket.snapshot(1);
  await change(scene, 0, 5);
  await expectAllRight(scene, sockets);
  return { scene, sockets };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("sockets beyond what one object takes", () => {
  test("go to nodes, get snapshots and deltas with the root's numbers, and all end with the source's state", async () => {
    const scene = await stage();
    await change(scene, 0, 1);
    const sockets = await open(scene, 6);
    expect([await socketsOf(scene.root), ...(await Promise.all(scene.nodes.map(socketsOf)))]).toEqual([2, 2, 2]);
    for (const socket of sockets) socket.subscribe(TOPIC);
    for (const socket of sockets) await socket.snapshot(1);
    for (let step = 0; step < 5; step++) await change(scene, step % 3, step + 10);
    await expectAllRight(scene, sockets);
    const epochs = sockets.flatMap(({ frames }) =>
      frames.map((frame) => ("seq" in frame ? frame.seq.split(".")[0] : "")),
    );
    expect(new Set(epochs).size).toBe(1);
    expect(scene.sources.watched).toEqual([TOPIC]);
  });

  test("are refused with 429 when every object is full, and let in again when one has left", async () => {
    const scene = await stage();
    const sockets = await open(scene, PER_OBJECT * (NODES + 1));
    const refused = await upgrade("/ws/live", { Authorization: `Bearer ${scene.key.key}` });
    expect([refused.status, refused.headers.get("Retry-After")]).toEqual([429, "10"]);
    sockets.at(-1)?.close();
    await vi.waitFor(async () => {
      const response = await upgrade("/ws/live", { Authorization: `Bearer ${scene.key.key}` });
      expect(response.status).toBe(101);
      response.webSocket?.accept();
    }, WAIT);
  });

  test("may come back at another object with the seq they have, and get only what they missed", async () => {
    const scene = await stage();
    const sockets = await open(scene, 3);
    for (const socket of sockets) socket.subscribe(TOPIC);
    for (const socket of sockets) await socket.snapshot(1);
    await change(scene, 0, 5);
    await expectAllRight(scene, sockets);
    const [atRoot, , atNode] = sockets;
    expect(seqOf(atNode)).toBe(seqOf(atRoot));
    atRoot?.close();
    await vi.waitFor(async () => expect(await socketsOf(scene.root)).toBe(1), WAIT);
    const [moved] = await open(scene, 1);
    expect(await socketsOf(scene.root)).toBe(2);
    await change(scene, 1, 6);
    moved?.subscribe(TOPIC, seqOf(atNode));
    expect(await moved?.delta(1)).toMatchObject({ data: { windows: [windowOf(1, 6)] } });
    const [other] = await open(scene, 1);
    other?.subscribe(TOPIC, seqOf(atRoot));
    expect(await other?.delta(1)).toMatchObject({ data: { windows: [windowOf(1, 6)] } });
  });

  test("are told on nodes too when there is no such topic", async () => {
    const scene = await stage();
    const socket = (await open(scene, 3)).at(-1);
    socket?.subscribe("aggregation:nowhere");
    expect(await socket?.frame(1)).toMatchObject({ type: "error", error: "not_found", topic: "aggregation:nowhere" });
  });

  test("are closed on nodes too when their key is revoked", async () => {
    const scene = await stage();
    const sockets = await open(scene, 5);
    await call("DELETE", `/api/v1/keys/${scene.key.id}`, { key: scene.adminKey });
    for (const socket of sockets) expect((await socket.closing()).code).toBe(CLOSE_REVOKED);
  });

  test("that stall on a node get a gap and a snapshot, and cost their neighbours nothing", async () => {
    const scene = await stage();
    const [, , stalled, healthy] = await open(scene, 4);
    if (stalled === undefined || healthy === undefined) throw new Error("four sockets were opened");
    for (const socket of [stalled, healthy]) {
      socket.subscribe(TOPIC);
      socket.send({ type: "ack", topic: TOPIC, seq: (await socket.snapshot(1)).seq });
    }
    const start = Date.now();
    let changes = 0;
    vi.spyOn(Date, "now").mockImplementation(() => start + changes * FRAME_INTERVAL_MS);
    const total = MAX_UNACKED_FRAMES + 20;
    for (; changes < total; changes++) {
      await change(scene, 0, changes);
      const frame = await healthy.delta(changes + 2);
      healthy.send({ type: "ack", topic: TOPIC, seq: frame.seq });
    }
    await vi.waitFor(() => expect(stalled.types.at(-1)).toBe("gap"), WAIT);
    expect(stalled.types.filter((type) => type === "delta")).toHaveLength(MAX_UNACKED_FRAMES);
    expect(healthy.types).not.toContain("gap");
    changes += 10;
    const last = stalled.frames.findLast((frame) => frame.type === "delta");
    stalled.send({ type: "ack", topic: TOPIC, seq: last?.seq });
    await vi.waitFor(() => expect(stalled.types.at(-1)).toBe("snapshot"), WAIT);
    await expectAllRight(scene, [stalled, healthy]);
  });
});

describe("when an object sleeps or fails", () => {
  test("a node that slept wakes with the next change, and its readers end right", async () => {
    const { scene, sockets } = await following();
    for (const node of scene.nodes) await evictDurableObject(node, { webSockets: "hibernate" });
    await change(scene, 1, 6);
    await expectAllRight(scene, sockets);
    await change(scene, 2, 7);
    await expectAllRight(scene, sockets);
    for (const socket of sockets) expect(socket.closed).toBeNull();
  });

  test("a root that slept knows its nodes: the change that wakes it reaches their readers, although it alone has forgotten", async () => {
    const { scene, sockets } = await following();
    for (const socket of sockets.slice(0, 2)) socket.send({ type: "unsubscribe", topic: TOPIC });
    await evictDurableObject(scene.root, { webSockets: "hibernate" });
    await plug(scene.root, scene.sources);
    await change(scene, 1, 6);
    await expectAllRight(scene, sockets.slice(2));
    await change(scene, 2, 7);
    await expectAllRight(scene, sockets.slice(2));
  });

  test("root and nodes that all slept wake together", async () => {
    const { scene, sockets } = await following();
    for (const hub of [scene.root, ...scene.nodes]) await evictDurableObject(hub, { webSockets: "hibernate" });
    await plug(scene.root, scene.sources);
    await change(scene, 1, 6);
    await expectAllRight(scene, sockets);
    await change(scene, 2, 7);
    await expectAllRight(scene, sockets);
  });

  test("a node that cannot be reached gets the frames again later, with none missing", async () => {
    const { scene, sockets } = await following();
    let failures = 0;
    const { feed } = LiveHub.prototype;
    vi.spyOn(LiveHub.prototype, "feed").mockImplementation(function failTwice(this: LiveHub, epoch, texts) {
      if (failures++ < 2) throw new Error("overloaded");
      feed.call(this, epoch, texts);
    });
    await change(scene, 1, 6);
    await change(scene, 2, 7);
    await expectAllRight(scene, sockets);
    expect(failures).toBeGreaterThan(2);
    expect(sockets.every(({ types }) => types.filter((type) => type === "snapshot").length === 1)).toBe(true);
  });

  test("a node without sockets is dropped after a while, and made again when it is needed", async () => {
    const { scene, sockets } = await following();
    const nodesNow = async (): Promise<unknown> => (await scene.root.figures())["nodes"];
    expect(await nodesNow()).toBe(2);
    for (const socket of sockets.slice(2)) socket.close();
    await vi.waitFor(async () => expect(await Promise.all(scene.nodes.map(socketsOf))).toEqual([0, 0]), WAIT);
    await vi.waitFor(async () => expect(await scene.root.figures()).toMatchObject({ sockets: 2 }), WAIT);
    const start = Date.now();
    vi.spyOn(Date, "now").mockImplementation(() => start + NODE_IDLE_MS + 1_000);
    await vi.waitFor(async () => {
      await runDurableObjectAlarm(scene.root);
      expect(await nodesNow()).toBe(0);
    }, WAIT);
    const [again] = await open(scene, 1);
    again?.subscribe(TOPIC);
    await again?.snapshot(1);
    expect(await nodesNow()).toBe(1);
  });
});

test("GET /metrics counts sockets, nodes, frames, conflated frames and gaps of all objects", async () => {
  const scene = await stage();
  const sockets = await open(scene, 3);
  for (const socket of sockets) socket.subscribe(TOPIC);
  for (const socket of sockets) await socket.snapshot(1);
  const headers = { Authorization: `Bearer ${scene.key.key}` };
  const text = await (await exports.default.fetch("http://streamflow.test/metrics", { headers })).text();
  expect(text).toContain("streamflow_live_sockets 3\n");
  expect(text).toContain("streamflow_live_nodes 1\n");
  expect(text).toContain("streamflow_live_frames_sent_total 3\n");
  expect(text).toContain("streamflow_live_frames_conflated_total 0\n");
  expect(text).toContain("streamflow_live_gaps_total 0\n");
});
