import { createFlowController, type FlowController } from "../../core/flow/index.ts";
import { CircuitBreaker, type CircuitState } from "../../core/streams/circuit-breaker.ts";
import type { DownstreamReport } from "../../durable-objects/rate/downstream.ts";
import { isMarked } from "../object-errors.ts";

/** Calls to one object that run at once: at the start, and at most. */
const FIRST_WINDOW = 4;
const MAX_WINDOW = 64;
/** A call waits this long for its turn, looking again now and then; then its messages come again later. */
const MAX_WAIT_MS = 5_000;
const LOOK_AGAIN_MS = 20;
/** Objects followed at most; the longest unused is forgotten first. */
const MAX_OBJECTS = 10_000;
/** Trouble is reported at most this often per object, ms. */
const REPORT_EVERY_MS = 1_000;

/** Why an object was not called at all. */
export class NotCalledError extends Error {
  readonly why: "circuit open" | "busy";
  constructor(why: "circuit open" | "busy") {
    super(`not called: ${why}`);
    this.why = why;
  }
}

/** What limiting needs of its surroundings. */
export interface LimiterDeps {
  /** In [0, 1). */
  readonly random: () => number;
  /** Epoch ms. */
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<unknown>;
  /** Told of refusals and of circuits that changed; nobody waits for it. */
  readonly report: (tenant: string, report: DownstreamReport) => void;
  readonly log: (fields: {
    readonly tenant: string;
    readonly shard: number;
    from: CircuitState;
    to: CircuitState;
  }) => void;
}

interface ObjectState {
  readonly controller: FlowController;
  readonly breaker: CircuitBreaker;
  refusals: number;
  applyMs: number | null;
  hasChanged: boolean;
  reportedAtMs: number;
}

/**
 * Limits how many calls of this isolate run at once at one object, as a flow controller finds it, and leaves an object that
 * keeps refusing alone until it works again. An object that throws because of what it was given has answered.
 */
export class CallLimiter {
  readonly #objects = new Map<string, ObjectState>();

  /** @throws NotCalledError when the object was not called, else what `ask` throws */
  async run<Result>(tenant: string, shard: number, ask: () => Promise<Result>, deps: LimiterDeps): Promise<Result> {
    const object = this.#object(tenant, shard, deps);
    await this.#turn(object, deps);
    const pass = object.breaker.enter(deps.now());
    if (pass === null) throw new NotCalledError("circuit open");
    const startedAt = deps.now();
    const token = object.controller.sent(startedAt);
    try {
      const result = await ask();
      object.controller.acked(token, deps.now());
      object.breaker.succeeded(pass, deps.now());
      object.applyMs = Math.max(object.applyMs ?? 0, deps.now() - startedAt);
      return result;
    } catch (error) {
      if (isRefusal(error)) {
        object.refusals++;
        object.controller.rejected(token, deps.now());
        object.breaker.failed(pass, deps.now());
      } else {
        object.controller.ignored(token, deps.now());
        object.breaker.succeeded(pass, deps.now());
      }
      throw error;
    } finally {
      this.#reportTrouble(tenant, object, deps);
    }
  }

  /** @throws NotCalledError when there is no turn in time */
  async #turn({ controller }: ObjectState, deps: LimiterDeps): Promise<void> {
    const untilMs = deps.now() + MAX_WAIT_MS;
    while (controller.inFlight + 1 > Math.max(1, controller.window)) {
      if (deps.now() >= untilMs) throw new NotCalledError("busy");
      // Looked at again instead of woken: a request must not wait for another request's promise alone.
      await deps.wait(LOOK_AGAIN_MS);
    }
  }

  #object(tenant: string, shard: number, deps: LimiterDeps): ObjectState {
    const key = `${tenant} ${shard}`;
    const object = this.#objects.get(key) ?? newObject(tenant, shard, deps);
    // Last in the map is last used.
    this.#objects.delete(key);
    this.#objects.set(key, object);
    const [oldest] = this.#objects.keys();
    if (this.#objects.size > MAX_OBJECTS && oldest !== undefined) this.#objects.delete(oldest);
    return object;
  }

  #reportTrouble(tenant: string, object: ObjectState, deps: LimiterDeps): void {
    const nowMs = deps.now();
    const isTrouble = object.refusals > 0 || object.hasChanged;
    if (!isTrouble || nowMs - object.reportedAtMs < REPORT_EVERY_MS) return;
    const { refusals, applyMs, breaker, controller } = object;
    object.refusals = 0;
    object.applyMs = null;
    object.hasChanged = false;
    object.reportedAtMs = nowMs;
    const circuit = breaker.state(nowMs);
    deps.report(tenant, { refusals, applyMs, circuit, opened: breaker.opened, window: Math.floor(controller.window) });
  }
}

function newObject(tenant: string, shard: number, deps: LimiterDeps): ObjectState {
  const options = { algorithm: "adaptive", initialWindow: FIRST_WINDOW, maxWindow: MAX_WINDOW } as const;
  const object: ObjectState = {
    controller: createFlowController(options, deps.now(), deps.random),
    breaker: new CircuitBreaker(
      {
        onChange: (from, to) => {
          object.hasChanged = true;
          deps.log({ tenant, shard, from, to });
        },
      },
      deps.random,
    ),
    refusals: 0,
    applyMs: null,
    hasChanged: false,
    reportedAtMs: Number.NEGATIVE_INFINITY,
  };
  return object;
}

/** The object could not take the call, whatever it was about. */
function isRefusal(error: unknown): boolean {
  return isMarked(error, "overloaded") || isMarked(error, "retryable");
}
