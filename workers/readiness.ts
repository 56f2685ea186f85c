import { liveHubName } from "../core/events/names.ts";
import { HOME, ownersIn } from "../core/windows/slot-map.ts";
import { windowAggregator } from "../durable-objects/remote.ts";
import { DEFAULT_TENANT } from "./auth/index.ts";
import { isDraining } from "./ingest/draining.ts";
import { logError } from "./log.ts";

/** How each part answered: `ok`, or why it is not ready, in words that give nothing away. */
export type Readiness = Record<"store" | "queue" | "objects" | "ingest", string>;

/** A part that takes longer than this is not ready. */
const CHECK_TIMEOUT_MS = 2_000;
/** A probe is a paid queue message, so one answer of the queue is believed this long. */
const QUEUE_PROBE_EVERY_MS = 10_000;

let queueAnswer: { readonly atMs: number; readonly answer: string } | null = null;

/** Asks the database, the queue and a Durable Object, side by side. Never throws. */
export async function checkReadiness(env: Env, nowMs = Date.now()): Promise<Readiness> {
  const [store, queue, objects] = await Promise.all([
    check("store", () => env.DB.prepare("select 1").first()),
    checkQueue(env, nowMs),
    // Objects of fixed names: a caller without a credential must not be able to make new ones.
    check("objects", () => Promise.all([env.LIVE_HUB.getByName(liveHubName(DEFAULT_TENANT)).ready(), pingShards(env)])),
  ]);
  return { store, queue, objects, ingest: isDraining() ? "stopping" : "ok" };
}

/** The operator's own objects that take events. */
async function pingShards(env: Env): Promise<void> {
  const home = windowAggregator(env, DEFAULT_TENANT, HOME);
  const [, { owners, epoch }] = await Promise.all([home.ping(), home.slotMap()]);
  const others = ownersIn({ owners, epoch }).filter((object) => object !== HOME);
  await Promise.all(others.map((object) => windowAggregator(env, DEFAULT_TENANT, object).ping()));
}

/** The consumer acks probes unread. */
async function checkQueue(env: Env, nowMs: number): Promise<string> {
  if (queueAnswer !== null && nowMs - queueAnswer.atMs < QUEUE_PROBE_EVERY_MS) return queueAnswer.answer;
  const answer = await check("queue", () => env.EVENTS.send({ v: 1, kind: "probe" }, { contentType: "v8" }));
  queueAnswer = { atMs: nowMs, answer };
  return answer;
}

async function check(name: string, ask: () => Promise<unknown>): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve("no answer in time"), CHECK_TIMEOUT_MS);
  });
  const answer = (async () => {
    await ask();
    return "ok";
  })();
  try {
    return await Promise.race([answer, timeout]);
  } catch (error) {
    logError("not_ready", error, { check: name });
    return "failed";
  } finally {
    clearTimeout(timer);
  }
}
