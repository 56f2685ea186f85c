import { accessSync, constants, mkdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";

/** The repository's root: everything the local platform reads lies under it. */
export const ROOT = resolve(import.meta.dirname, "../..");

/** Where and how the local platform is served. */
export interface Settings {
  /** Address to bind. Loopback unless HOST says otherwise: the local platform has no TLS. */
  readonly host: string;
  /** TCP port, 1–65535. */
  readonly port: number;
  /** Absolute path of the directory that holds everything the platform must remember. */
  readonly state: string;
}

/** A set-up the user can mend: shown as one line, without a stack trace. */
export class SetupError extends Error {}

/**
 * Reads PORT, HOST and STREAMFLOW_STATE, with CONTRACT's defaults.
 *
 * @throws SetupError when PORT is not a port
 */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const port = Number(env["PORT"] || 8787);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new SetupError(`PORT must be a number from 1 to 65535, but it is "${env["PORT"]}".`);
  }
  return {
    host: env["HOST"] || "127.0.0.1",
    port,
    state: resolve(ROOT, env["STREAMFLOW_STATE"] || ".wrangler/state"),
  };
}

/**
 * Makes the state directory, readable by its owner only, or says why it cannot be used.
 *
 * @throws SetupError when it is not a directory or not writable
 */
export function prepareState(state: string): void {
  try {
    mkdirSync(state, { recursive: true, mode: 0o700 });
    accessSync(state, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new SetupError(
      `The state directory ${state} cannot be used: ${messageOf(error)}.\nPoint STREAMFLOW_STATE at a directory that can be written.`,
    );
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Text of a file, or undefined when it does not exist. */
export function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
