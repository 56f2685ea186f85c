import { describe, expect, test } from "vitest";
import { Hub } from "../../../core/live/hub.ts";
import { MAX_TOPICS_PER_SOCKET } from "../../../core/live/protocol.ts";
import { MAX_UNACKED_FRAMES, MAX_UNACKED_LENGTH } from "../../../core/live/position.ts";
import {
  MAX_UNHEARD_LENGTH,
  MAX_UNHEARD_TOTAL,
  MAX_WAITING_FRAMES,
  MIN_UNHEARD_LENGTH,
} from "../../../core/live/reader.ts";
import { MAX_DELTA_LENGTH, RETAIN_MS, SNAPSHOT_REUSE_MS } from "../../../core/live/topic-log.ts";
import { busiestSecond, deltaOf, type ModelClient, Scene, snapshotOf, TOPIC, windowOf } from "./client.ts";

/** A scene with one client that has the first snapshot. */
function following(options: { acks?: boolean } = {}): { scene: Scene; client: ModelClient } {
  const scene = new Scene(new Hub("e1"));
  const client = scene.join("a");
  scene.subscribe("a");
  scene.answer(TOPIC, snapshotOf(windowOf(0, 0)));
  if (options.acks === true) scene.ack("a");
  return { scene, client };
}

function countOf(client: ModelClient): unknown {
  return client.states.get(TOPIC)?.windows[0]?.values["count"];
}

describe("snapshot, then deltas", () => {
  test("a new reader gets a snapshot with the hub's time and then each change, numbered by one", () => {
    const { scene, client } = following();
    scene.publish(1);
    scene.pass(1_000);
    scene.publish(2);
    expect(client.types).toEqual(["snapshot", "delta", "delta"]);
    const first = client.frames[0]?.frame;
    expect(first).toMatchObject({ topic: TOPIC, server_time: "1970-01-01T00:16:40.000Z" });
    expect(client.faults).toEqual([]);
    expect(countOf(client)).toBe(2);
  });

  test("changes within a quarter of a second go out as one delta with the last values", () => {
    const { scene, client } = following({ acks: true });
    for (let count = 1; count <= 10; count++) scene.publish(count);
    expect(countOf(client)).toBe(1);
    scene.pass(249);
    expect(countOf(client)).toBe(1);
    scene.pass(1);
    expect(countOf(client)).toBe(10);
    expect(client.types).toEqual(["snapshot", "delta", "delta"]);
  });

  test("changes published while the snapshot is on its way come after it, none lost", () => {
    const scene = new Scene(new Hub("e1"));
    const client = scene.join("a");
    scene.subscribe("a");
    scene.publish(1);
    scene.pass(300);
    scene.publish(2);
    expect(client.types).toEqual([]);
    scene.answer(TOPIC, snapshotOf(windowOf(0, 2)));
    expect(client.types).toEqual(["snapshot", "delta", "delta"]);
    expect(client.faults).toEqual([]);
    expect(countOf(client)).toBe(2);
  });

  test("200 readers that come back together cost the source one question", () => {
    const scene = new Scene(new Hub("e1"));
    for (let reader = 0; reader < 200; reader++) {
      scene.join(`r${reader}`);
      scene.subscribe(`r${reader}`);
    }
    scene.answer(TOPIC, snapshotOf());
    scene.join("late");
    scene.subscribe("late");
    expect(scene.requests).toEqual([TOPIC]);
    expect([...scene.clients.values()].every((client) => client.types.join() === "snapshot")).toBe(true);
    scene.pass(SNAPSHOT_REUSE_MS + 1);
    scene.join("later");
    scene.subscribe("later");
    expect(scene.requests).toHaveLength(2);
  });

  test("a topic the source does not know is an error, and its subscription is over", () => {
    const scene = new Scene(new Hub("e1"));
    const client = scene.join("a");
    scene.subscribe("a");
    scene.answer(TOPIC, null);
    expect(client.frames[0]?.frame).toMatchObject({ type: "error", error: "not_found", topic: TOPIC });
    expect(scene.hub.followedTopics(scene.nowMs)).toEqual([]);
  });

  test("a source that does not answer is asked again, later each time, and readers are told once", () => {
    const scene = new Scene(new Hub("e1"));
    const client = scene.join("a");
    scene.subscribe("a");
    const askedAtMs: number[] = [];
    for (let attempt = 0; attempt < 5; attempt++) {
      askedAtMs.push(scene.nowMs);
      scene.hub.fetchFailed(TOPIC, scene.nowMs);
      scene.flush();
      while (scene.requests.length === attempt + 1) scene.pass(100);
    }
    const waits = askedAtMs.slice(1).map((at, index) => at - (askedAtMs[index] ?? 0));
    expect(waits).toEqual([500, 1_000, 2_000, 4_000]);
    expect(client.types).toEqual(["error"]);
    scene.answer(TOPIC, snapshotOf());
    expect(client.types).toEqual(["error", "snapshot"]);
  });

  test("a delta too long to send is replaced by a gap and a snapshot", () => {
    const { scene, client } = following({ acks: true });
    const big = { ...windowOf(0, 1), group: { key: "x".repeat(MAX_DELTA_LENGTH) } };
    scene.hub.publish([{ topic: TOPIC, data: deltaOf(big) }], scene.nowMs);
    scene.flush();
    scene.pass(SNAPSHOT_REUSE_MS + 1);
    scene.answer(TOPIC, snapshotOf(windowOf(0, 7)));
    expect(client.types).toEqual(["snapshot", "gap", "snapshot"]);
    expect(countOf(client)).toBe(7);
  });

  test("an unsubscribed topic is silent, and one socket cannot follow more topics than the limit", () => {
    const { scene, client } = following();
    scene.hub.receive("a", { type: "unsubscribe", topic: TOPIC }, scene.nowMs);
    scene.publish(1);
    expect(client.types).toEqual(["snapshot"]);
    for (let topic = 0; topic <= MAX_TOPICS_PER_SOCKET; topic++) scene.subscribe("a", `aggregation:t${topic}`);
    expect(client.frames.at(-1)?.frame).toMatchObject({ type: "error", error: "too_many_requests" });
    expect(client.types.filter((type) => type === "error")).toHaveLength(1);
  });
});

describe("coming back with after", () => {
  test("the missed deltas are replayed, and no snapshot", () => {
    const { scene } = following();
    const back = scene.join("b");
    for (let count = 1; count <= 40; count++) {
      scene.publish(count);
      scene.pass(250);
    }
    scene.subscribe("b", TOPIC, "e1.11");
    expect(back.types).toEqual(Array.from({ length: 30 }, () => "delta"));
    expect(back.frames[0]?.frame).toMatchObject({ seq: "e1.12" });
    expect(back.frames.at(-1)?.frame).toMatchObject({ seq: "e1.41" });
  });

  test("with nothing missed there is nothing to say", () => {
    const { scene, client } = following();
    scene.publish(1);
    const back = scene.join("b");
    scene.subscribe("b", TOPIC, client.seqs.get(TOPIC));
    expect(back.types).toEqual([]);
    scene.pass(1_000);
    scene.publish(2);
    expect(back.types).toEqual(["delta"]);
  });

  test.each([
    ["another epoch", "e0.1"],
    ["a number not reached yet", "e1.99"],
    ["no seq at all", "yesterday"],
    ["a negative number", "e1.-1"],
  ])("%s is answered by a snapshot", (_name, after) => {
    const { scene } = following();
    const back = scene.join("b");
    scene.subscribe("b", TOPIC, after);
    expect(back.types).toEqual(["snapshot"]);
  });

  test("an after older than what is kept is answered by a snapshot", () => {
    const { scene, client } = following();
    scene.publish(1);
    const after = client.seqs.get(TOPIC);
    for (let passed = 0; passed <= RETAIN_MS + 1_000; passed += 1_000) {
      scene.pass(1_000);
      scene.publish(passed);
    }
    const back = scene.join("b");
    scene.subscribe("b", TOPIC, after);
    scene.answer(TOPIC, snapshotOf(windowOf(0, 5)));
    expect(back.types).toEqual(["snapshot"]);
  });

  test("a topic everybody left is still followed for a while, so that nobody misses what happened meanwhile", () => {
    const { scene, client } = following();
    scene.publish(1);
    scene.hub.leave("a", scene.nowMs);
    expect(scene.hub.followedTopics(scene.nowMs + RETAIN_MS)).toEqual([TOPIC]);
    scene.pass(2_000);
    scene.publish(2);
    const back = scene.join("b");
    scene.subscribe("b", TOPIC, client.seqs.get(TOPIC));
    expect(back.types).toEqual(["delta"]);
  });

  test("once it was forgotten its old seqs fit nowhere, however the numbers fall", () => {
    const { scene, client } = following();
    scene.publish(1);
    scene.hub.leave("a", scene.nowMs);
    scene.pass(RETAIN_MS + 1);
    expect(scene.hub.followedTopics(scene.nowMs)).toEqual([]);
    for (let life = 0; life < 5; life++) {
      const back = scene.join(`b${life}`);
      scene.subscribe(`b${life}`, TOPIC, client.seqs.get(TOPIC));
      scene.answer(TOPIC, snapshotOf(windowOf(0, 9)));
      expect(back.types).toEqual(["snapshot"]);
      scene.hub.leave(`b${life}`, scene.nowMs);
      scene.pass(RETAIN_MS + 1);
      scene.hub.followedTopics(scene.nowMs);
    }
  });
});

describe("slow readers", () => {
  test("one that never acks gets at most 4 frames in any second, and ends with the right numbers", () => {
    const { scene, client } = following();
    for (let count = 1; count <= 100; count++) {
      scene.publish(count);
      scene.pass(50);
    }
    scene.pass(5_000);
    expect(busiestSecond(client)).toBe(4);
    expect(client.faults).toEqual([]);
    expect(countOf(client)).toBe(100);
  });

  test("one that never acks and follows five busy topics gets 4 frames in any second, every topic its share", () => {
    const scene = new Scene(new Hub("e1"));
    const client = scene.join("a");
    const topics = ["a", "b", "c", "d", "e"].map((name) => `aggregation:${name}` as const);
    for (const topic of topics) scene.subscribe("a", topic);
    for (let count = 1; count <= 200; count++) {
      for (const topic of topics) scene.publish(count, topic);
      for (const topic of scene.requests.splice(0)) scene.answer(topic, snapshotOf(windowOf(0, count)));
      scene.pass(50);
    }
    for (let second = 0; second < 20; second++) {
      scene.pass(1_000);
      for (const topic of scene.requests.splice(0)) scene.answer(topic, snapshotOf(windowOf(0, 200)));
    }
    expect(busiestSecond(client)).toBe(4);
    expect(client.faults).toEqual([]);
    for (const topic of topics) expect(client.states.get(topic)?.windows[0]?.values["count"]).toBe(200);
  });

  test("one that acks follows five busy topics at full pace", () => {
    const scene = new Scene(new Hub("e1"));
    const client = scene.join("a");
    const topics = ["a", "b", "c", "d", "e"].map((name) => `aggregation:${name}` as const);
    for (const topic of topics) scene.subscribe("a", topic);
    for (const topic of scene.requests.splice(0)) scene.answer(topic, snapshotOf());
    for (let step = 0; step < 40; step++) {
      for (const topic of topics) scene.publish(step, topic);
      scene.pass(250);
      for (const topic of topics) scene.ack("a", topic);
    }
    expect(client.types.filter((type) => type === "delta")).toHaveLength(200);
    expect(client.types).not.toContain("gap");
  });

  test("one that stops acking is told of a gap, gets nothing until it acks, then a snapshot", () => {
    const { scene, client } = following({ acks: true });
    const steps = MAX_UNACKED_FRAMES + MAX_WAITING_FRAMES + 20;
    for (let count = 1; count <= steps; count++) {
      scene.publish(count);
      scene.pass(250);
    }
    expect(client.types.filter((type) => type === "delta")).toHaveLength(MAX_UNACKED_FRAMES);
    expect(client.types.at(-1)).toBe("gap");
    scene.pass(SNAPSHOT_REUSE_MS + 1);
    scene.ack("a");
    scene.answer(TOPIC, snapshotOf(windowOf(0, steps)));
    expect(client.types.slice(-2)).toEqual(["gap", "snapshot"]);
    expect(countOf(client)).toBe(steps);
    scene.publish(steps + 1);
    expect(countOf(client)).toBe(steps + 1);
    expect(client.faults).toEqual([]);
  });

  test("an ack of frames that were never sent makes no room", () => {
    const { scene, client } = following({ acks: true });
    scene.hub.receive("a", { type: "ack", topic: TOPIC, seq: "e1.999999" }, scene.nowMs);
    for (let count = 1; count <= 100; count++) {
      scene.publish(count);
      scene.pass(250);
    }
    expect(client.types.filter((type) => type === "delta")).toHaveLength(MAX_UNACKED_FRAMES);
  });

  test("one that starts to ack late is not held to what it got before", () => {
    const scene = new Scene(new Hub("e1"));
    const client = scene.join("a");
    const topics = ["aggregation:a", "aggregation:b"] as const;
    for (const topic of topics) scene.subscribe("a", topic);
    for (const topic of scene.requests.splice(0)) scene.answer(topic, snapshotOf());
    for (let count = 1; count <= MAX_UNACKED_FRAMES + 5; count++) {
      for (const topic of topics) scene.publish(count, topic);
      scene.pass(500);
    }
    scene.ack("a", "aggregation:a");
    for (const topic of topics) scene.publish(99, topic);
    expect(client.types).not.toContain("gap");
    for (const topic of topics) expect(client.states.get(topic)?.windows[0]?.values["count"]).toBe(99);
  });

  test("one that is late by less than the window loses nothing", () => {
    const { scene, client } = following({ acks: true });
    for (let count = 1; count <= MAX_UNACKED_FRAMES + MAX_WAITING_FRAMES; count++) {
      scene.publish(count);
      scene.pass(250);
    }
    scene.ack("a");
    expect(client.types).not.toContain("gap");
    expect(countOf(client)).toBe(MAX_UNACKED_FRAMES + MAX_WAITING_FRAMES);
  });

  test("a slow reader costs its neighbour nothing", () => {
    const { scene } = following({ acks: true });
    const healthy = scene.join("b");
    scene.subscribe("b");
    scene.ack("b");
    for (let count = 1; count <= 100; count++) {
      scene.publish(count);
      scene.pass(250);
      scene.ack("b");
    }
    expect(healthy.types.filter((type) => type === "delta")).toHaveLength(100);
  });

  test("subscribing again after a gap brings a snapshot at once", () => {
    const { scene, client } = following({ acks: true });
    for (let count = 1; count <= 60; count++) {
      scene.publish(count);
      scene.pass(250);
    }
    scene.pass(SNAPSHOT_REUSE_MS + 1);
    scene.subscribe("a");
    scene.answer(TOPIC, snapshotOf(windowOf(0, 60)));
    expect(client.types.at(-1)).toBe("snapshot");
  });

  test("one that floods the hub with frames is to be closed; an honest burst is not", () => {
    const { scene } = following();
    for (let frame = 0; frame < 200; frame++) expect(scene.hub.admit("a", scene.nowMs)).toBe(true);
    expect(scene.hub.admit("a", scene.nowMs)).toBe(false);
    expect(scene.hub.admit("a", scene.nowMs + 1_000)).toBe(true);
  });
});

describe("after the hub slept", () => {
  test("a socket that outlived it starts from a snapshot in the new epoch once something changes, not before", () => {
    const { scene, client } = following({ acks: true });
    const kept = scene.hub.stateOf("a");
    const woken = new Scene(new Hub("e2"));
    woken.clients.set("a", client);
    woken.hub.join("a", woken.nowMs, kept ?? { acks: false, topics: [] });
    woken.flush();
    woken.pass(60_000);
    expect(woken.requests).toEqual([]);
    expect(woken.hub.followedTopics(woken.nowMs)).toEqual([TOPIC]);
    woken.publish(5);
    expect(woken.requests).toEqual([TOPIC]);
    woken.answer(TOPIC, snapshotOf(windowOf(0, 5)));
    woken.pass(1_000);
    woken.publish(6);
    expect(client.types).toEqual(["snapshot", "snapshot", "delta"]);
    expect(client.seqs.get(TOPIC)).toMatch(/^e2\./);
    expect(client.faults).toEqual([]);
    expect(countOf(client)).toBe(6);
  });

  test("an ack of the old epoch, which only a reader that was behind sends, brings it a snapshot", () => {
    const { scene, client } = following({ acks: true });
    const woken = new Scene(new Hub("e2"));
    woken.clients.set("a", client);
    woken.hub.join("a", woken.nowMs, scene.hub.stateOf("a") ?? { acks: false, topics: [] });
    woken.ack("a");
    woken.answer(TOPIC, snapshotOf(windowOf(0, 3)));
    expect(countOf(client)).toBe(3);
  });
});

const windowsOf = (length: number): ReturnType<typeof windowOf> => ({
  ...windowOf(0, 1),
  group: { key: "x".repeat(length) },
});
const publishLong = (scene: Scene, length: number, passMs: number): void => {
  scene.hub.publish([{ topic: TOPIC, data: deltaOf(windowsOf(length)) }], scene.nowMs);
  scene.flush();
  scene.pass(passMs);
};
const lengthOf = (client: ModelClient): number =>
  client.frames.reduce((sum, { frame }) => sum + (frame.type === "error" ? 0 : JSON.stringify(frame).length), 0);

describe("what a reader may have unread", () => {
  test("of a topic, by one that acks, is 64 KB and the frame that passes them", () => {
    const { scene, client } = following({ acks: true });
    const frame = MAX_UNACKED_LENGTH / 4;
    const before = lengthOf(client);
    for (let step = 0; step < 20; step++) {
      publishLong(scene, frame - 300, 250);
    }
    const unread = lengthOf(client) - before;
    expect(unread).toBeGreaterThanOrEqual(MAX_UNACKED_LENGTH);
    expect(unread).toBeLessThan(MAX_UNACKED_LENGTH + frame);
    expect(client.types.slice(-2)).toEqual(["delta", "gap"]);
    scene.pass(SNAPSHOT_REUSE_MS + 1);
    scene.ack("a");
    scene.answer(TOPIC, snapshotOf(windowOf(0, 20)));
    expect(client.types.at(-1)).toBe("snapshot");
    expect(client.faults).toEqual([]);
  });

  test("one frame longer than that goes when nothing else is unread", () => {
    const { scene, client } = following({ acks: true });
    for (let step = 0; step < 4; step++) {
      publishLong(scene, MAX_UNACKED_LENGTH * 2, 250);
      scene.ack("a");
    }
    expect(client.types.filter((type) => type === "delta")).toHaveLength(4);
  });

  test("by one that says nothing is 1 MB; then it gets a gap, and a snapshot when it is heard of, a ping will do", () => {
    const { scene, client } = following();
    const length = 100_000;
    for (let step = 0; step < 30; step++) {
      publishLong(scene, length, 1_000);
    }
    expect(lengthOf(client)).toBeGreaterThanOrEqual(MAX_UNHEARD_LENGTH);
    expect(lengthOf(client)).toBeLessThan(MAX_UNHEARD_LENGTH + 2 * length);
    expect(client.types.filter((type) => type === "gap")).toHaveLength(1);
    expect(scene.hub.unheard()).toEqual([{ id: "a", heardAtMs: 1_000_000 }]);
    scene.hub.heardOf("a", 999_999, scene.nowMs);
    expect(scene.hub.unheard()).toHaveLength(1);
    scene.hub.heardOf("a", scene.nowMs - 5, scene.nowMs);
    scene.flush();
    scene.answer(TOPIC, snapshotOf(windowOf(0, 30)));
    expect(client.types.at(-1)).toBe("snapshot");
    expect(scene.hub.unheard()).toEqual([]);
    expect(client.faults).toEqual([]);
    expect(countOf(client)).toBe(30);
  });

  test("by all that say nothing is 32 MB together; each may still have 64 KB", () => {
    const scene = new Scene(new Hub("e1"));
    const readers = 80;
    for (let id = 0; id < readers; id++) {
      scene.join(String(id));
      scene.subscribe(String(id));
    }
    scene.answer(TOPIC, snapshotOf());
    for (let step = 0; step < 30; step++) {
      publishLong(scene, 60_000, 1_000);
    }
    const unread = [...scene.clients.values()].map(lengthOf);
    const total = unread.reduce((sum, length) => sum + length, 0);
    expect(total).toBeGreaterThanOrEqual(MAX_UNHEARD_TOTAL);
    expect(total).toBeLessThan(MAX_UNHEARD_TOTAL + readers * 61_000);
    const late = scene.join("late");
    scene.subscribe("late");
    scene.answer(TOPIC, snapshotOf());
    for (let step = 0; step < 5; step++) {
      publishLong(scene, 60_000, 1_000);
    }
    expect(lengthOf(late)).toBeGreaterThanOrEqual(MIN_UNHEARD_LENGTH);
    expect(lengthOf(late)).toBeLessThan(3 * MIN_UNHEARD_LENGTH);
  });
});
