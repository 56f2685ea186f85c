import { array, assert, boolean, constant, constantFrom, integer, oneof, property, record } from "fast-check";
import { expect, test } from "vitest";
import { Hub } from "../../../core/live/hub.ts";
import type { AggregationDelta } from "../../../core/live/protocol.ts";
import { foldAggregation } from "../../../core/live/topics.ts";
import { busiestSecond, deltaOf, Scene, snapshotOf, windowOf } from "./client.ts";

const TOPICS = ["aggregation:a", "aggregation:b", "aggregation:c"] as const;
type Name = (typeof TOPICS)[number];

/** A source whose messages to the hub, and answers, take their time: both arrive in order, but not in order of each other. */
class Source {
  state = snapshotOf();
  readonly onTheWay: AggregationDelta[] = [];
  readonly answers: (typeof this.state)[] = [];

  change(minute: number, count: number): void {
    // As when a session joins another: the one before goes.
    const { start, group } = windowOf(minute - 1, 0);
    const gone = count % 5 === 0 ? [{ start, group }] : [];
    const delta = { ...deltaOf(windowOf(minute, count)), gone };
    this.state = foldAggregation(this.state, delta);
    this.onTheWay.push(delta);
  }
}

const client = integer({ min: 0, max: 3 });
const topic = constantFrom(...TOPICS);
const step = oneof(
  {
    weight: 6,
    arbitrary: record({ do: constant("change" as const), topic, minute: integer({ min: 0, max: 5 }) }),
  },
  { weight: 6, arbitrary: record({ do: constant("publish" as const), topic }) },
  { weight: 4, arbitrary: record({ do: constant("answer" as const), topic }) },
  { weight: 3, arbitrary: record({ do: constant("subscribe" as const), client, topic, resume: boolean() }) },
  { weight: 4, arbitrary: record({ do: constant("ack" as const), client, topic }) },
  { weight: 1, arbitrary: record({ do: constant("reconnect" as const), client }) },
  { weight: 1, arbitrary: record({ do: constant("fail" as const), topic }) },
  { weight: 5, arbitrary: record({ do: constant("pass" as const), ms: integer({ min: 1, max: 3_000 }) }) },
);

test("whatever is changed, delayed, dropped or reconnected, snapshot and deltas folded end up as the source's state", () => {
  assert(
    property(array(step, { maxLength: 300, size: "max" }), (steps) => {
      const scene = new Scene(new Hub("e1"));
      const sources = new Map<Name, Source>(TOPICS.map((name) => [name, new Source()]));
      const follows = [0, 1, 2, 3].map(() => new Set<Name>());
      for (let id = 0; id < 4; id++) scene.join(String(id));
      let changes = 0;
      // The source is read when the question reaches it, its answer and its reports travel apart.
      const ask = (): void => {
        for (const name of scene.requests.splice(0)) {
          const source = sources.get(TOPICS.find((known) => known === name) ?? "aggregation:a");
          source?.answers.push(source.state);
        }
      };
      const publish = (name: Name): void => {
        const data = sources.get(name)?.onTheWay.shift();
        if (data !== undefined) scene.hub.publish([{ topic: name, data }], scene.nowMs);
        scene.flush();
      };
      const answer = (name: Name): void => {
        const snapshot = sources.get(name)?.answers.shift();
        if (snapshot !== undefined) scene.answer(name, snapshot);
      };
      for (const one of steps) {
        if (one.do === "change") sources.get(one.topic)?.change(one.minute, ++changes);
        if (one.do === "publish") publish(one.topic);
        if (one.do === "answer") answer(one.topic);
        if (one.do === "pass") scene.pass(one.ms);
        if (one.do === "fail" && sources.get(one.topic)?.answers.shift() !== undefined)
          scene.hub.fetchFailed(one.topic, scene.nowMs);
        // Clients 0 and 1 never ack.
        if (one.do === "ack" && one.client > 1) scene.ack(String(one.client), one.topic);
        if (one.do === "subscribe") {
          follows[one.client]?.add(one.topic);
          const known = scene.clients.get(String(one.client));
          const isUsable = known !== undefined && !known.gaps.has(one.topic) && one.client > 1;
          scene.subscribe(
            String(one.client),
            one.topic,
            one.resume && isUsable ? known.seqs.get(one.topic) : undefined,
          );
        }
        if (one.do === "reconnect" && one.client > 1) {
          scene.hub.leave(String(one.client), scene.nowMs);
          scene.hub.join(String(one.client), scene.nowMs);
          for (const name of follows[one.client] ?? []) {
            const known = scene.clients.get(String(one.client));
            scene.subscribe(
              String(one.client),
              name,
              known?.gaps.has(name) === true ? undefined : known?.seqs.get(name),
            );
          }
        }
        scene.flush();
        ask();
      }
      for (let round = 0; round < 60; round++) {
        for (const name of TOPICS) {
          while ((sources.get(name)?.onTheWay.length ?? 0) > 0) publish(name);
          answer(name);
          for (const id of ["2", "3"]) scene.ack(id, name);
        }
        scene.pass(1_000);
        ask();
      }
      for (const [id, followed] of follows.entries()) {
        const known = scene.clients.get(String(id));
        expect(known?.faults).toEqual([]);
        for (const name of followed) expect(known?.states.get(name)).toEqual(sources.get(name)?.state);
      }
      for (const id of ["0", "1"]) {
        const silent = scene.clients.get(id);
        if (silent !== undefined) expect(busiestSecond(silent)).toBeLessThanOrEqual(4);
      }
    }),
    { numRuns: 500 },
  );
});
