import { spawnSync } from "node:child_process";
import { linkSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { SetupError, readIfPresent } from "./settings.ts";

const POLL_MS = 50;

/** The note a running platform keeps in its state directory, mode 600. `streamflow` finds the platform by it. */
export interface Running {
  /** The process of `npm start`. */
  readonly pid: number;
  /** The process that runs Miniflare; 0 until it has started. */
  readonly host: number;
  /** The workerd process; 0 until it has started. */
  readonly workerd: number;
  readonly url: string;
  readonly admin_key: string;
  /** True once it has been told to stop. */
  readonly stopping: boolean;
}

/** Where the note lies. */
function notePath(state: string): string {
  return join(state, "running.json");
}

/** The note, or undefined when there is none or it is not readable as one. */
export function readNote(state: string): Running | undefined {
  const text = readIfPresent(notePath(state));
  if (text === undefined) return undefined;
  try {
    return toRunning(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function toRunning(value: unknown): Running | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { pid, host, workerd, url, admin_key, stopping } = Object.fromEntries(Object.entries(value));
  if (typeof pid !== "number" || typeof host !== "number" || typeof workerd !== "number") return undefined;
  if (typeof url !== "string" || typeof admin_key !== "string") return undefined;
  return { pid, host, workerd, url, admin_key, stopping: stopping === true };
}

/** An orphan notices within half a second that it is one; see start.ts. */
const ORPHAN_GRACE_MS = 2_000;
/** Longer than a drain may take. */
const STOPPING_LIMIT_MS = 30_000;

/**
 * Waits for a platform that is just stopping on this state.
 *
 * Two platforms on one state would each have their own queue and would break each other's databases.
 * @param say  told when there is something to wait for
 * @throws SetupError when one is running and not about to stop
 */
export async function awaitPredecessor(state: string, say: (line: string) => void): Promise<void> {
  const startedAt = performance.now();
  let told = false;
  for (;;) {
    const note = readNote(state);
    if (note === undefined || note.pid === process.pid || !isRunning(note.pid, "start")) return;
    const waited = performance.now() - startedAt;
    if (waited > (note.stopping ? STOPPING_LIMIT_MS : ORPHAN_GRACE_MS)) {
      throw new SetupError(
        `StreamFlow already runs on this state (${state}): ${note.url}, process ${note.pid}. Stop it first.`,
      );
    }
    if (note.stopping && !told) say(`Waiting for the StreamFlow that is stopping (process ${note.pid})…`);
    told ||= note.stopping;
    await wait(POLL_MS);
  }
}

/**
 * Takes the state directory for this process. What a killed platform has left running is killed, because it holds the
 * port and the files.
 *
 * @throws SetupError when another start was quicker
 */
export function claimState(state: string, note: Running): void {
  const old = readNote(state);
  if (old !== undefined) {
    if (old.host > 0 && isRunning(old.host, "host")) process.kill(old.host, "SIGKILL");
    if (old.workerd > 0 && isRunning(old.workerd, "workerd")) process.kill(old.workerd, "SIGKILL");
  }
  rmSync(notePath(state), { force: true });
  createExclusively(state, note);
}

/** Writes the note through a link, which fails when another start was quicker. */
function createExclusively(state: string, note: Running): void {
  const draft = `${notePath(state)}.${note.pid}`;
  writeFileSync(draft, JSON.stringify(note), { mode: 0o600 });
  try {
    linkSync(draft, notePath(state));
  } catch {
    throw new SetupError(`Another StreamFlow is just starting on this state (${state}).`);
  } finally {
    unlinkSync(draft);
  }
}

/** Rewrites the note of this process. */
export function updateNote(state: string, note: Running): void {
  writeFileSync(notePath(state), JSON.stringify(note), { mode: 0o600 });
}

/** Says in this process's own note that it is about to end. */
export function markStopping(state: string): void {
  const note = readNote(state);
  if (note?.pid === process.pid) updateNote(state, { ...note, stopping: true });
}

/** Removes the note if it is this process's own. */
export function releaseState(state: string): void {
  if (readNote(state)?.pid === process.pid) rmSync(notePath(state), { force: true });
}

/** True when the process exists and its command line holds `word`: process ids are used again after a while. */
function isRunning(pid: number, word: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  const ps = spawnSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
  // Without `ps` (Windows) a living process counts as ours.
  return ps.error !== undefined || ps.stdout.includes(word);
}
