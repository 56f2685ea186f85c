import { rateControllerName } from "../core/events/names.ts";
import {
  type DeadLetter,
  deleteDeadLetters,
  loadDeadLetters,
  loadDeadLettersById,
} from "../storage/d1/dead-letters.ts";
import { unpackLetter } from "./dead-letters.ts";
import { alertManager } from "../durable-objects/alerts/remote.ts";
import { type PackedMessage, sendMessages } from "./ingest/queue-producer.ts";
import { logError } from "./log.ts";
import { unpackNotification } from "./notify/dead-letter.ts";

/** Letters in one replay; the answer says how many are left. */
export const MAX_REPLAYED = 500;
/** Letters in memory at once: each may have 170 KB. */
const LETTERS_PER_STEP = 20;

/** What a replay did. */
export interface Replay {
  readonly replayed: number;
  /** Events in the replayed letters. */
  readonly events: number;
  /** Ids of letters that the queue did not take: they are still there. */
  readonly failed: readonly string[];
  /** Ids of letters that hold no event message: they are still there. */
  readonly notReplayable: readonly string[];
}

/**
 * Puts dead letters back on the events queue and deletes them here, in that order: after a crash in between they are sent
 * again, which is harmless, because their events still have their ids.
 * @param ids which ones, at most MAX_REPLAYED; null = the tenant's, up to MAX_REPLAYED
 */
export async function replayDeadLetters(env: Env, tenant: string, ids: readonly string[] | null): Promise<Replay> {
  const steps: Replay[] = [];
  let done = 0;
  let afterId = "";
  while (done < (ids?.length ?? MAX_REPLAYED)) {
    const letters =
      ids === null
        ? await loadDeadLetters(env.DB, tenant, afterId, LETTERS_PER_STEP)
        : await loadDeadLettersById(env.DB, tenant, ids.slice(done, done + LETTERS_PER_STEP));
    done += LETTERS_PER_STEP;
    const last = letters.at(-1);
    if (last === undefined && ids === null) break;
    afterId = last?.id ?? afterId;
    const step = await replayStep(env, tenant, letters);
    steps.push(step);
    // A queue that refuses some will refuse more.
    if (step.failed.length > 0) break;
  }
  return joined(steps);
}

const NOTHING: Replay = { replayed: 0, events: 0, failed: [], notReplayable: [] };

function joined(steps: readonly Replay[]): Replay {
  return {
    replayed: steps.reduce((sum, { replayed }) => sum + replayed, 0),
    events: steps.reduce((sum, { events }) => sum + events, 0),
    failed: steps.flatMap(({ failed }) => failed),
    notReplayable: steps.flatMap(({ notReplayable }) => notReplayable),
  };
}

async function replayStep(env: Env, tenant: string, letters: readonly DeadLetter[]): Promise<Replay> {
  const notifications = letters.filter(({ kind }) => kind === "notification");
  const others = letters.filter(({ kind }) => kind !== "notification");
  return joined([await replayEvents(env, tenant, others), await replayNotifications(env, tenant, notifications)]);
}

/** Puts notifications back into their alerts' outbox; those of alerts that are long forgotten stay here. */
async function replayNotifications(env: Env, tenant: string, letters: readonly DeadLetter[]): Promise<Replay> {
  if (letters.length === 0) return NOTHING;
  const kept = await alertManager(env, tenant).requeue(letters.map(unpackNotification));
  const replayed = letters.flatMap(({ id }, k) => (kept[k] === true ? [id] : []));
  await deleteDeadLetters(env.DB, tenant, replayed);
  const notReplayable = letters.map(({ id }) => id).filter((id) => !replayed.includes(id));
  return { ...NOTHING, replayed: replayed.length, notReplayable };
}

async function replayEvents(env: Env, tenant: string, letters: readonly DeadLetter[]): Promise<Replay> {
  const readable: DeadLetter[] = [];
  const packed: PackedMessage[] = [];
  for (const letter of letters) {
    const message = letter.kind === "events" ? unpackLetter(letter) : null;
    if (message === null || message.tenant !== tenant) continue;
    packed.push({ message, from: readable.length, to: readable.length + 1 });
    readable.push(letter);
  }
  const refused = await sendMessages(env.EVENTS, packed, (error) => logError("replay_not_sent", error, { tenant }));
  const failed = new Set(refused.flatMap(({ from, to }) => readable.slice(from, to)));
  const sent = readable.filter((letter) => !failed.has(letter));
  const events = sent.reduce((sum, letter) => sum + letter.events, 0);
  if (sent.length > 0) {
    await deleteDeadLetters(
      env.DB,
      tenant,
      sent.map(({ id }) => id),
    );
    await countAccepted(env, tenant, events);
  }
  return {
    replayed: sent.length,
    events,
    failed: [...failed].map(({ id }) => id),
    notReplayable: letters.filter((letter) => !readable.includes(letter)).map(({ id }) => id),
  };
}

/** So that the tenant's backlog is known: these events are on their way again. */
async function countAccepted(env: Env, tenant: string, events: number): Promise<void> {
  try {
    const used = { events, bytes: 0 };
    await env.RATE_CONTROLLER.getByName(rateControllerName(tenant)).lease({ isolate: "replay", used, want: 0 });
  } catch (error) {
    // The count corrects itself once the events are applied.
    logError("replay_not_counted", error, { tenant });
  }
}
