import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { liveHubName } from "../../core/events/names.ts";
import {
  type AggregationSnapshot,
  CLOSE_REVOKED,
  CLOSE_TOO_MANY_FRAMES,
  CLOSE_UNHEARD,
  MAX_CLIENT_FRAME_LENGTH,
  PING_TEXT,
  type WindowJson,
} from "../../core/live/protocol.ts";
import { MAX_UNACKED_FRAMES } from "../../core/live/position.ts";
import { MAX_UNHEARD_LENGTH, MAX_WAITING_FRAMES } from "../../core/live/reader.ts";
import { FRAME_INTERVAL_MS, SNAPSHOT_REUSE_MS } from "../../core/live/topic-log.ts";
import { foldAggregation } from "../../core/live/topics.ts";
import type { LiveHub } from "../../durable-objects/live-hub.ts";
import type { LiveSources } from "../../durable-objects/live/sources.ts";
import { call, makeKey, makeTenant } from "./http-client.ts";
import { type LiveSocket, openLive } from "./live-socket.ts";

const TOPIC = "aggregation:requests";

/** A source with one aggregation, which notes what it was asked. */
class FakeSources implements LiveSources {
  state: AggregationSnapshot = { name: "requests", watermark: null, windows: [] };
  readonly calls: string[] = [];
  readonly revoked = new Set<string>();
  isAway = false;

  async snapshot(topic: string): Promise<AggregationSnapshot | null> {
    this.calls.push(`snapshot ${topic}`);
    if (this.isAway) throw new Error("away");
    return topic === TOPIC ? this.state : null;
  }

  async watch(topics: readonly string[]): Promise<void> {
    this.calls.push(`watch ${topics.join()}`);
  }

  async activeKeys(keyIds: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set(keyIds.filter((id) => !this.revoked.has(id)));
  }
}

interface Stage {
  readonly hub: DurableObjectStub<LiveHub>;
  readonly sources: FakeSources;
  readonly key: { id: string; key: string };
  readonly adminKey: string;
}

/** A tenant of its own, whose hub asks a fake source. */
async function stage(): Promise<Stage> {
  const tenant = await makeTenant();
  const key = await makeKey(tenant.adminKey, "viewer");
  const hub = env.LIVE_HUB.getByName(liveHubName(tenant.id));
  const sources = new FakeSources();
  await plug(hub, sources);
  return { hub, sources, key, adminKey: tenant.adminKey };
}

async function plug(hub: DurableObjectStub<LiveHub>, sources: FakeSources): Promise<void> {
  await runInDurableObject(hub, (instance: LiveHub) => {
    instance.sources = sources;
  });
}

function windowOf(minute: number, count: number): WindowJson {
  const start = new Date(minute * 60_000).toISOString();
  const end = new Date((minute + 1) * 60_000).toISOString();
  return { start, end, status: "open", revision: 0, partial: false, group: {}, values: { count } };
}

/** Changes the source's state and tells the hub. */
async function change({ hub, sources }: Stage, minute: number, count: number): Promise<void> {
  const delta = { watermark: null, windows: [windowOf(minute, count)] };
  sources.state = foldAggregation(sources.state, delta);
  await hub.publish([{ topic: TOPIC, data: delta }]);
}

/** What a client that folds every frame knows. */
function folded(socket: LiveSocket): AggregationSnapshot | null {
  let state: AggregationSnapshot | null = null;
  for (const frame of socket.frames) {
    if (frame.type === "snapshot" && "windows" in frame.data && "name" in frame.data) state = frame.data;
    if (frame.type === "delta" && "windows" in frame.data && state !== null) state = foldAggregation(state, frame.data);
  }
  return state;
}

/** Sends a socket that never acks more than it may have unread, a frame a second by the hub's clock. @returns moves that clock on */
async function fill(scene: Stage): Promise<(ms: number) => void> {
  let nowMs = Date.now();
  vi.spyOn(Date, "now").mockImplementation(() => nowMs);
  const long = { ...windowOf(0, 1), group: { key: "x".repeat(200_000) } };
  for (let sent = 0; sent < MAX_UNHEARD_LENGTH; sent += 50_000) {
    await scene.hub.publish([{ topic: TOPIC, data: { watermark: null, windows: [long] } }]);
    nowMs += 1_000;
  }
  return (ms) => {
    nowMs += ms;
  };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a live socket", () => {
  test("gets a snapshot with the server's time, then deltas that fold into what a fresh snapshot says", async () => {
    const scene = await stage();
    await change(scene, 0, 1);
    const socket = await openLive(scene.key.key);
    socket.subscribe(TOPIC);
    const first = await socket.snapshot(1);
    expect(Math.abs(Date.parse(first.server_time) - Date.now())).toBeLessThan(60_000);
    for (let step = 0; step < 6; step++) await change(scene, step % 3, step + 10);
    await vi.waitFor(() => expect(folded(socket)).toEqual(scene.sources.state), { timeout: 5_000 });
    const fresh = await openLive(scene.key.key);
    fresh.subscribe(TOPIC);
    await vi.waitFor(() => expect(folded(fresh)).toEqual(folded(socket)), { timeout: 5_000 });
  });

  test("makes the hub tell the aggregator what is followed before it asks for the state", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.subscribe(TOPIC);
    await socket.snapshot(1);
    expect(scene.sources.calls).toEqual([`watch ${TOPIC}`, `snapshot ${TOPIC}`]);
    expect(await scene.hub.interest()).toMatchObject({ topics: [TOPIC] });
  });

  test("that comes back with after gets only what it missed", async () => {
    const scene = await stage();
    const before = await openLive(scene.key.key);
    before.subscribe(TOPIC);
    const { seq } = await before.snapshot(1);
    before.close();
    await change(scene, 0, 7);
    const after = await openLive(scene.key.key);
    after.subscribe(TOPIC, seq);
    const delta = await after.delta(1);
    expect(delta.data).toEqual({ watermark: null, windows: [windowOf(0, 7)] });
  });

  test("with an after of another epoch gets a snapshot", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.subscribe(TOPIC, "0ld.3");
    await socket.snapshot(1);
  });

  test("that stops acking gets a gap, and a snapshot once it acks", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.subscribe(TOPIC);
    const first = await socket.snapshot(1);
    socket.send({ type: "ack", topic: TOPIC, seq: first.seq });
    // The hub's clock goes on by one frame's time per change, so that nobody waits for real.
    const start = Date.now();
    let changes = 0;
    vi.spyOn(Date, "now").mockImplementation(() => start + changes * FRAME_INTERVAL_MS);
    for (; changes < MAX_UNACKED_FRAMES + MAX_WAITING_FRAMES + 5; changes++) await change(scene, 0, changes);
    await vi.waitFor(() => expect(socket.types.at(-1)).toBe("gap"), { timeout: 5_000 });
    expect(socket.types.filter((type) => type === "delta")).toHaveLength(MAX_UNACKED_FRAMES);
    changes += (2 * SNAPSHOT_REUSE_MS) / FRAME_INTERVAL_MS;
    const last = socket.frames.findLast((frame) => frame.type === "delta");
    socket.send({ type: "ack", topic: TOPIC, seq: last?.seq });
    await vi.waitFor(() => expect(socket.types.filter((type) => type === "snapshot")).toHaveLength(2), {
      timeout: 5_000,
    });
    await vi.waitFor(() => expect(folded(socket)).toEqual(scene.sources.state), { timeout: 5_000 });
  });

  test("is told when there is no such topic, and when the state cannot be had it follows later", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.subscribe("aggregation:nowhere");
    expect(await socket.frame(1)).toMatchObject({ type: "error", error: "not_found", topic: "aggregation:nowhere" });
    scene.sources.isAway = true;
    socket.subscribe(TOPIC);
    expect(await socket.frame(2)).toMatchObject({ type: "error", error: "unavailable", topic: TOPIC });
    scene.sources.isAway = false;
    await socket.snapshot(3);
  });

  test.each([
    ["no JSON", "hello"],
    ["an unknown type", '{"type":"publish","topic":"alerts"}'],
    ["an unknown topic", '{"type":"subscribe","topic":"secrets"}'],
    ["binary", new ArrayBuffer(8)],
  ])("that sends %s gets an error frame and stays open", async (_name, frame) => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.send(frame);
    expect(await socket.frame(1)).toMatchObject({ type: "error", error: "bad_request" });
    socket.subscribe(TOPIC);
    await socket.snapshot(2);
  });

  test("that sends an over-long frame, or floods, is closed", async () => {
    const scene = await stage();
    const long = await openLive(scene.key.key);
    long.send("x".repeat(MAX_CLIENT_FRAME_LENGTH + 1));
    expect((await long.closing()).code).toBe(1009);
    const flood = await openLive(scene.key.key);
    for (let frame = 0; frame < 400; frame++) flood.send('{"type":"ack","topic":"alerts","seq":"a.1"}');
    expect((await flood.closing()).code).toBe(CLOSE_TOO_MANY_FRAMES);
  });

  test("is answered pings, however they are spelt", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.send(PING_TEXT);
    expect(await socket.frame(1)).toEqual({ type: "pong" });
    socket.send('{ "type": "ping" }');
    expect(await socket.frame(2)).toEqual({ type: "pong" });
  });

  test("that closes is answered with its own code, awake or asleep", async () => {
    const scene = await stage();
    const [first, second] = [await openLive(scene.key.key), await openLive(scene.key.key)];
    first.close();
    expect((await first.closing()).code).toBe(1000);
    await evictDurableObject(scene.hub, { webSockets: "hibernate" });
    second.close();
    expect((await second.closing()).code).toBe(1000);
  });
});

describe("a live socket that never acks", () => {
  test("is sent 1 MB, told of a gap, and closed a minute later", async () => {
    const scene = await stage();
    const [socket, other] = [await openLive(scene.key.key), await openLive(scene.key.key)];
    socket.subscribe(TOPIC);
    await socket.snapshot(1);
    const pass = await fill(scene);
    await vi.waitFor(() => expect(socket.types.at(-1)).toBe("gap"), { timeout: 5_000 });
    expect(socket.types.filter((type) => type === "delta")).toHaveLength(6);
    pass(61_000);
    await runDurableObjectAlarm(scene.hub);
    expect((await socket.closing()).code).toBe(CLOSE_UNHEARD);
    expect(other.closed).toBeNull();
  });

  test("goes on with a snapshot when it says anything", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.subscribe(TOPIC);
    await socket.snapshot(1);
    const pass = await fill(scene);
    await vi.waitFor(() => expect(socket.types.at(-1)).toBe("gap"), { timeout: 5_000 });
    socket.send('{ "type": "ping" }');
    await vi.waitFor(() => expect(socket.types.slice(-2).toSorted()).toEqual(["pong", "snapshot"]), { timeout: 5_000 });
    pass(61_000);
    await runDurableObjectAlarm(scene.hub);
    expect(socket.closed).toBeNull();
  });
});

describe("a revoked key", () => {
  test("closes its sockets with 4401, and no other key's", async () => {
    const scene = await stage();
    const other = await makeKey(scene.adminKey, "viewer");
    const [mine, theirs] = [await openLive(scene.key.key), await openLive(other.key)];
    await call("DELETE", `/api/v1/keys/${scene.key.id}`, { key: scene.adminKey });
    expect((await mine.closing()).code).toBe(CLOSE_REVOKED);
    theirs.subscribe(TOPIC);
    await theirs.snapshot(1);
    expect(theirs.closed).toBeNull();
  });

  test("that the hub was not told of closes its sockets at the next look", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    scene.sources.revoked.add(scene.key.id);
    expect(await runDurableObjectAlarm(scene.hub)).toBe(true);
    expect((await socket.closing()).code).toBe(CLOSE_REVOKED);
  });

  test("is found in the table of keys, also for a socket opened with a token", async () => {
    const tenant = await makeTenant();
    const key = await makeKey(tenant.adminKey, "viewer");
    const token = String((await call("POST", "/auth/token", { key: key.key })).data["token"]);
    const [socket, admins] = [await openLive(token), await openLive(tenant.adminKey)];
    await env.DB.prepare("update api_keys set revoked_at = 1 where id = ?").bind(key.id).run();
    await runDurableObjectAlarm(env.LIVE_HUB.getByName(liveHubName(tenant.id)));
    expect((await socket.closing()).code).toBe(CLOSE_REVOKED);
    expect(admins.closed).toBeNull();
  });
});

describe("while the hub sleeps", () => {
  test("sockets stay open, and the next change reaches them as a snapshot in a new epoch, then deltas", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.subscribe(TOPIC);
    const first = await socket.snapshot(1);
    await evictDurableObject(scene.hub, { webSockets: "hibernate" });
    await plug(scene.hub, scene.sources);
    await change(scene, 0, 5);
    const second = await socket.snapshot(2);
    expect(second.seq.split(".")[0]).not.toBe(first.seq.split(".")[0]);
    await vi.waitFor(() => expect(folded(socket)).toEqual(scene.sources.state), { timeout: 5_000 });
    await change(scene, 1, 6);
    await vi.waitFor(() => expect(folded(socket)).toEqual(scene.sources.state), { timeout: 5_000 });
    expect(socket.types.filter((type) => type === "snapshot")).toHaveLength(2);
    expect(socket.closed).toBeNull();
  });

  test("pings are answered without waking it", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    await evictDurableObject(scene.hub, { webSockets: "hibernate" });
    socket.send(PING_TEXT);
    expect(await socket.frame(1)).toEqual({ type: "pong" });
  });

  test("an unsubscribed topic stays unsubscribed, and a revoked key still closes", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.subscribe(TOPIC);
    await socket.snapshot(1);
    socket.send({ type: "unsubscribe", topic: TOPIC });
    socket.send('{ "type": "ping" }');
    await socket.frame(2);
    await evictDurableObject(scene.hub, { webSockets: "hibernate" });
    await plug(scene.hub, scene.sources);
    await change(scene, 0, 5);
    await call("DELETE", `/api/v1/keys/${scene.key.id}`, { key: scene.adminKey });
    expect((await socket.closing()).code).toBe(CLOSE_REVOKED);
    expect(socket.types).toEqual(["snapshot", "pong"]);
  });

  test("its alarm renews interest as long as there are sockets, then stops", async () => {
    const scene = await stage();
    const socket = await openLive(scene.key.key);
    socket.subscribe(TOPIC);
    await socket.snapshot(1);
    await evictDurableObject(scene.hub, { webSockets: "hibernate" });
    await plug(scene.hub, scene.sources);
    scene.sources.calls.length = 0;
    expect(await runDurableObjectAlarm(scene.hub)).toBe(true);
    expect(scene.sources.calls).toEqual([`watch ${TOPIC}`]);
    socket.close();
    await vi.waitFor(async () => {
      await runInDurableObject(scene.hub, (_instance: LiveHub, state) => expect(state.getWebSockets()).toEqual([]));
    });
    expect(await runDurableObjectAlarm(scene.hub)).toBe(true);
    expect(await runDurableObjectAlarm(scene.hub)).toBe(false);
  });
});

describe("tenants", () => {
  test("share no hub: another tenant's changes reach nobody here", async () => {
    const [mine, theirs] = [await stage(), await stage()];
    const socket = await openLive(mine.key.key);
    socket.subscribe(TOPIC);
    await socket.snapshot(1);
    await change(theirs, 0, 99);
    await change(mine, 0, 1);
    await vi.waitFor(() => expect(folded(socket)).toEqual(mine.sources.state), { timeout: 5_000 });
    expect(JSON.stringify(socket.frames)).not.toContain('"count":99');
  });

  test("are fixed by the hub's name: a connection for another one is refused", async () => {
    const scene = await stage();
    const response = await scene.hub.fetch("https://live-hub/connect?tenant=another&key_id=k", {
      headers: { Upgrade: "websocket" },
    });
    expect(response.status).toBe(403);
  });
});
