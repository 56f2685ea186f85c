import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createConnection, type ConnectionAction, type HeardFrame } from "../../../core/live/connection-state.ts";
import { step, TICK_MS } from "../../../core/live/connection.ts";

const TOPIC = "events";

/** A hub with one number as its state: every delta adds its own amount, so a frame lost, doubled or out of order shows. */
class Hub {
  epoch = 1;
  n = 0;
  total = 0;
  log: { n: number; amount: number }[] = [];

  add(amount: number): HeardFrame {
    this.n += 1;
    this.total += amount;
    this.log = [...this.log, { n: this.n, amount }].slice(-4);
    return this.delta(this.n, amount);
  }

  restart(): void {
    this.epoch += 1;
    this.n = 0;
    this.log = [];
  }

  answer(after: string | undefined): HeardFrame[] {
    const [epoch, n] = (after ?? "0.0").split(".").map(Number);
    const kept = this.log[0]?.n ?? this.n + 1;
    if (epoch === this.epoch && n !== undefined && n >= kept - 1) {
      return this.log.filter((entry) => entry.n > n).map((entry) => this.delta(entry.n, entry.amount));
    }
    return [{ type: "snapshot", topic: TOPIC, seq: `${this.epoch}.${this.n}`, data: this.total }];
  }

  delta(n: number, amount: number): HeardFrame {
    return { type: "delta", topic: TOPIC, seq: `${this.epoch}.${n}`, data: amount };
  }
}

const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("add" as const), amount: fc.integer({ min: 1, max: 1_000 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("lose frame", "repeat frame", "swap frames", "gap") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("cut", "restart") }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 6_000 }) }) },
);

test("whatever is lost, doubled, swapped or cut, the page ends with the hub's number", () => {
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 60 }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      (events, chance) => {
        const hub = new Hub();
        let state = createConnection([TOPIC], 0);
        let nowMs = 0;
        let shown = 0;
        let wire: HeardFrame[] = [];

        const run = (input: Parameters<typeof step>[1]): void => {
          const result = step(state, input, { nowMs, random: chance.next().value });
          state = result.state;
          for (const action of result.actions) perform(action);
        };
        const perform = (action: ConnectionAction): void => {
          if (action.type === "fetch_ticket") run({ type: "ticket", attempt: action.attempt, ticket: "t" });
          if (action.type === "open") run({ type: "opened", attempt: action.attempt });
          if (action.type === "close") wire = [];
          if (action.type === "apply")
            shown = action.kind === "snapshot" ? Number(action.data) : shown + Number(action.data);
          if (action.type !== "send") return;
          if (action.message.type === "subscribe") wire.push(...hub.answer(action.message.after));
          if (action.message.type === "ping") wire.push({ type: "other" });
        };
        const deliver = (): void => {
          for (let frame = wire.shift(); frame !== undefined; frame = wire.shift()) {
            run({ type: "frame", attempt: state.attempt, frame });
          }
        };
        const wait = (ms: number): void => {
          for (const end = nowMs + ms; nowMs < end;) {
            nowMs += TICK_MS;
            run({ type: "tick" });
            deliver();
          }
        };

        run({ type: "start" });
        for (const now of events) {
          if ("amount" in now) wire.push(hub.add(now.amount));
          else if ("ms" in now) wait(now.ms);
          else if (now.do === "lose frame") wire.shift();
          else if (now.do === "repeat frame") wire.push(...wire.slice(0, 1));
          else if (now.do === "swap frames") wire.reverse();
          else if (now.do === "gap") wire = [{ type: "gap", topic: null }];
          else {
            if (now.do === "restart") hub.restart();
            run({ type: "closed", attempt: state.attempt, code: 1006 });
          }
        }
        wait(20_000);
        wire.push(hub.add(1));
        wait(8_000);
        expect(state.phase).toBe("live");
        expect(shown).toBe(hub.total);
      },
    ),
    { numRuns: 500 },
  );
});
