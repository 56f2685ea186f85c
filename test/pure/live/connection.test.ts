import { describe, expect, test } from "vitest";
import { retryDelayMs } from "../../../core/live/connection-backoff.ts";
import {
  createConnection,
  type ConnectionAction,
  type ConnectionInput,
  type ConnectionState,
  type HeardFrame,
} from "../../../core/live/connection-state.ts";
import { step, TICK_MS } from "../../../core/live/connection.ts";

const START_MS = 1_000_000;

/** A connection with a clock that stands still until told otherwise, and a list of everything it asked its shell to do. */
class Bench {
  state: ConnectionState;
  nowMs = START_MS;
  random = 0.5;
  actions: ConnectionAction[] = [];

  constructor(topics: readonly string[] = ["alerts"]) {
    this.state = createConnection(topics, START_MS);
  }

  put(input: ConnectionInput): ConnectionAction[] {
    const { state, actions } = step(this.state, input, { nowMs: this.nowMs, random: this.random });
    this.state = state;
    this.actions.push(...actions);
    return [...actions];
  }

  /** Let time pass the way a browser does: a tick every quarter of a second. */
  pass(ms: number): ConnectionAction[] {
    const from = this.actions.length;
    for (const end = this.nowMs + ms; this.nowMs < end;) {
      this.nowMs += TICK_MS;
      this.put({ type: "tick" });
    }
    return this.actions.slice(from);
  }

  connect(): ConnectionAction[] {
    const from = this.actions.length;
    this.put({ type: "start" });
    this.answerTicket();
    this.put({ type: "opened", attempt: this.state.attempt });
    return this.actions.slice(from);
  }

  answerTicket(): ConnectionAction[] {
    return this.put({ type: "ticket", attempt: this.state.attempt, ticket: "t" });
  }

  hear(frame: HeardFrame): ConnectionAction[] {
    return this.put({ type: "frame", attempt: this.state.attempt, frame });
  }

  snapshot(seq: string, topic = "alerts"): ConnectionAction[] {
    return this.hear({ type: "snapshot", topic, seq, data: `snapshot ${seq}` });
  }

  delta(seq: string, topic = "alerts"): ConnectionAction[] {
    return this.hear({ type: "delta", topic, seq, data: `delta ${seq}` });
  }

  drop(code = 1006): ConnectionAction[] {
    return this.put({ type: "closed", attempt: this.state.attempt, code });
  }
}

function sent(actions: readonly ConnectionAction[]): unknown[] {
  return actions.flatMap((action) => (action.type === "send" ? [action.message] : []));
}

function applied(kind: "snapshot" | "delta", seq: string): ConnectionAction {
  return { type: "apply", kind, topic: "alerts", data: `${kind} ${seq}` };
}

describe("connecting", () => {
  test("goes through ticket and handshake, then subscribes to every topic", () => {
    const bench = new Bench(["alerts", "events"]);
    bench.put({ type: "start" });
    expect(bench.state.phase).toBe("ticket");
    expect(bench.answerTicket()).toEqual([{ type: "open", attempt: 1, ticket: "t" }]);
    expect(bench.state.phase).toBe("opening");
    expect(sent(bench.put({ type: "opened", attempt: 1 }))).toEqual([
      { type: "subscribe", topic: "alerts" },
      { type: "subscribe", topic: "events" },
    ]);
    expect(bench.state.phase).toBe("live");
  });

  test("a ticket that never comes and a handshake that never ends both count as lost", () => {
    const bench = new Bench();
    bench.put({ type: "start" });
    bench.pass(10_250);
    expect(bench.state.phase).toBe("backoff");
    bench.pass(5_000);
    bench.answerTicket();
    bench.pass(10_250);
    expect(bench.state).toMatchObject({ phase: "backoff", failures: 2 });
  });

  test("a refused token is renewed once, and a second refusal asks the user", () => {
    const bench = new Bench();
    bench.put({ type: "start" });
    expect(bench.put({ type: "ticket_failed", attempt: 1, reason: "unauthorized" })).toContainEqual({
      type: "fetch_ticket",
      attempt: 2,
      renew: true,
    });
    bench.put({ type: "ticket_failed", attempt: 2, reason: "unauthorized" });
    expect(bench.state.phase).toBe("refused");
    bench.pass(60_000);
    expect(bench.state.phase).toBe("refused");
    expect(bench.put({ type: "start" })).toContainEqual({ type: "fetch_ticket", attempt: 3, renew: false });
  });

  test("a socket closed with 4401 comes back only with a new token", () => {
    const bench = new Bench();
    bench.connect();
    bench.drop(4401);
    expect(bench.pass(500)).toContainEqual({ type: "fetch_ticket", attempt: 2, renew: true });
  });

  test("what an older try reports changes nothing", () => {
    const bench = new Bench();
    bench.connect();
    bench.drop();
    bench.pass(500);
    expect(bench.state).toMatchObject({ phase: "ticket", attempt: 2 });
    const before = bench.state;
    expect(bench.put({ type: "closed", attempt: 1, code: 1006 })).toEqual([]);
    expect(bench.put({ type: "ticket", attempt: 1, ticket: "old" })).toEqual([]);
    expect(bench.state).toBe(before);
  });

  test("stopping closes the socket and stays idle", () => {
    const bench = new Bench();
    bench.connect();
    expect(bench.put({ type: "stop" })).toEqual([{ type: "close" }]);
    bench.drop();
    bench.pass(30_000);
    expect(bench.state.phase).toBe("idle");
  });
});

describe("telling live from dead", () => {
  test("a quiet server is asked after 2 s, called stale after 5 s and left after 10 s", () => {
    const bench = new Bench();
    bench.connect();
    bench.snapshot("a.1");
    expect(sent(bench.pass(2_000))).toEqual([{ type: "ping" }]);
    bench.pass(3_000);
    expect(bench.state.phase).toBe("live");
    bench.pass(250);
    expect(bench.state.phase).toBe("stale");
    bench.pass(5_000);
    expect(bench.state.phase).toBe("backoff");
  });

  test("any frame, also a pong, makes a stale connection live again", () => {
    const bench = new Bench();
    bench.connect();
    bench.snapshot("a.1");
    bench.pass(6_000);
    expect(bench.state.phase).toBe("stale");
    bench.hear({ type: "other" });
    expect(bench.state.phase).toBe("live");
    bench.pass(5_000);
    expect(bench.state.phase).toBe("live");
  });

  test("a jump of the clock means that the machine slept: the socket is replaced whatever it says of itself", () => {
    const bench = new Bench();
    bench.connect();
    bench.snapshot("a.1");
    bench.nowMs += 3_600_000;
    expect(bench.put({ type: "tick" })).toEqual([
      { type: "close" },
      { type: "fetch_ticket", attempt: 2, renew: false },
    ]);
  });

  test("coming back to a quiet tab pings a fresh connection and replaces an old one", () => {
    const bench = new Bench();
    bench.connect();
    bench.snapshot("a.1");
    bench.nowMs += 1_000;
    expect(sent(bench.put({ type: "wake" }))).toEqual([{ type: "ping" }]);
    bench.nowMs += 6_000;
    expect(bench.put({ type: "visible" })).toContainEqual({ type: "fetch_ticket", attempt: 2, renew: false });
  });

  test("a tab hidden for a minute lets go of its socket and resumes when it is shown", () => {
    const bench = new Bench();
    bench.connect();
    bench.snapshot("a.1");
    bench.put({ type: "hidden" });
    for (let second = 0; second < 61; second += 1) {
      bench.hear({ type: "other" });
      bench.pass(1_000);
    }
    expect(bench.state.phase).toBe("paused");
    bench.put({ type: "wake" });
    bench.pass(120_000);
    expect(bench.state.phase).toBe("paused");
    bench.put({ type: "visible" });
    bench.answerTicket();
    expect(sent(bench.put({ type: "opened", attempt: 2 }))).toEqual([
      { type: "subscribe", topic: "alerts", after: "a.1" },
    ]);
  });
});

describe("coming back", () => {
  test("waits a random part of a doubling time", () => {
    const bench = new Bench();
    bench.connect();
    bench.random = 0.99;
    bench.drop();
    expect(bench.state.retryAtMs).toBe(bench.nowMs + 247);
    bench.pass(250);
    bench.put({ type: "ticket_failed", attempt: 2, reason: "unavailable" });
    expect(bench.state.retryAtMs).toBe(bench.nowMs + 495);
  });

  test("never waits more than 5 s in the first minute of an outage, nor more than 30 s after it", () => {
    expect(retryDelayMs(1, 0, 0)).toBe(0);
    expect(retryDelayMs(30, 59_999, 0.999_999)).toBe(4_999);
    expect(retryDelayMs(30, 60_000, 0.999_999)).toBe(29_999);
    expect(retryDelayMs(5_000, 600_000, 0.5)).toBe(15_000);
  });

  test("the network coming back, or the user's wish, ends the wait at once", () => {
    for (const type of ["wake", "retry", "visible"] as const) {
      const bench = new Bench();
      bench.connect();
      bench.drop();
      expect(bench.put({ type })).toContainEqual({ type: "fetch_ticket", attempt: 2, renew: false });
    }
  });

  test("a server that dies as soon as it is reached is not hammered: failures count until 5 s were survived", () => {
    const bench = new Bench();
    bench.random = 0.5;
    bench.connect();
    for (let round = 0; round < 5; round += 1) {
      bench.drop();
      bench.pass(5_000);
      bench.answerTicket();
      bench.put({ type: "opened", attempt: bench.state.attempt });
    }
    expect(bench.state.failures).toBe(5);
    for (let second = 0; second < 6; second += 1) {
      bench.hear({ type: "other" });
      bench.pass(1_000);
    }
    expect(bench.state.failures).toBe(0);
  });

  test("asks to go on behind the last frame it applied", () => {
    const bench = new Bench(["alerts", "events"]);
    bench.connect();
    bench.snapshot("a.7");
    bench.delta("a.8");
    bench.drop();
    bench.pass(500);
    bench.answerTicket();
    expect(sent(bench.put({ type: "opened", attempt: 2 }))).toEqual([
      { type: "subscribe", topic: "alerts", after: "a.8" },
      { type: "subscribe", topic: "events" },
    ]);
  });
});

describe("frames in order", () => {
  test("deltas before the first snapshot are left out", () => {
    const bench = new Bench();
    bench.connect();
    expect(bench.delta("a.4")).toEqual([]);
    expect(bench.snapshot("a.4")).toContainEqual(applied("snapshot", "a.4"));
    expect(bench.delta("a.5")).toContainEqual(applied("delta", "a.5"));
  });

  test("what was applied is acknowledged, what was left out is not", () => {
    const bench = new Bench();
    bench.connect();
    expect(sent(bench.snapshot("a.4"))).toEqual([{ type: "ack", topic: "alerts", seq: "a.4" }]);
    expect(sent(bench.delta("a.5"))).toEqual([{ type: "ack", topic: "alerts", seq: "a.5" }]);
    expect(sent(bench.delta("a.5"))).toEqual([]);
  });

  test("a repeated or old delta is applied once", () => {
    const bench = new Bench();
    bench.connect();
    bench.snapshot("a.4");
    bench.delta("a.5");
    expect(bench.delta("a.5")).toEqual([]);
    expect(bench.delta("a.3")).toEqual([]);
  });

  test("a jump asks to resume once and leaves out what is already on the way", () => {
    const bench = new Bench();
    bench.connect();
    bench.snapshot("a.4");
    expect(sent(bench.delta("a.9"))).toEqual([{ type: "subscribe", topic: "alerts", after: "a.4" }]);
    expect(bench.delta("a.10")).toEqual([]);
    expect(bench.delta("a.5")).toContainEqual(applied("delta", "a.5"));
  });

  test("a new epoch asks to resume too, and the snapshot that answers is taken", () => {
    const bench = new Bench();
    bench.connect();
    bench.snapshot("a.4");
    expect(sent(bench.delta("b.5"))).toEqual([{ type: "subscribe", topic: "alerts", after: "a.4" }]);
    bench.snapshot("b.5");
    expect(bench.delta("b.6")).toContainEqual(applied("delta", "b.6"));
  });

  test("a resume that is not answered within 3 s becomes a request for a snapshot", () => {
    const bench = new Bench();
    bench.connect();
    bench.snapshot("a.4");
    bench.delta("a.9");
    expect(sent(bench.pass(3_250))).toContainEqual({ type: "subscribe", topic: "alerts" });
  });

  test("a gap asks for a snapshot of that topic, and without a topic of all", () => {
    const bench = new Bench(["alerts", "events"]);
    bench.connect();
    bench.snapshot("a.4");
    bench.snapshot("a.2", "events");
    expect(sent(bench.hear({ type: "gap", topic: "events" }))).toEqual([{ type: "subscribe", topic: "events" }]);
    expect(bench.delta("a.3", "events")).toEqual([]);
    expect(bench.delta("a.5")).toContainEqual(applied("delta", "a.5"));
    expect(sent(bench.hear({ type: "gap", topic: null }))).toHaveLength(2);
  });

  test("a topic followed later is asked for at once, one left is told so, and its frames are ignored", () => {
    const bench = new Bench();
    bench.connect();
    expect(sent(bench.put({ type: "subscribe", topic: "events" }))).toEqual([{ type: "subscribe", topic: "events" }]);
    expect(bench.put({ type: "subscribe", topic: "events" })).toEqual([]);
    bench.snapshot("a.1", "events");
    expect(sent(bench.put({ type: "unsubscribe", topic: "events" }))).toEqual([
      { type: "unsubscribe", topic: "events" },
    ]);
    expect(bench.delta("a.2", "events")).toEqual([]);
  });
});
