import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { HostMessage } from "./host.ts";
import type { RuntimeOptions } from "./runtime.ts";
import { SetupError } from "./settings.ts";

/** A running host process with its workerd. */
export interface Host {
  readonly pid: number;
  /** Process id of workerd, 0 if unknown. */
  readonly workerd: number;
  readonly url: string;
  /** Where V8's inspector answers, when it was asked for. */
  readonly inspector: string | undefined;
  /** Resolves with the exit code when the host has ended, whatever the cause. */
  readonly ended: Promise<number>;
  /** Ends workerd and the host; resolves when both are gone. */
  stop(): Promise<void>;
  /** Ends both without waiting for anything. */
  kill(): void;
}

/** Ends whatever is starting, at once; set while `launchHost` waits. */
export interface Launch {
  readonly pid: number;
  readonly host: Promise<Host>;
  kill(): void;
}

/**
 * Starts the host process and, through it, the platform.
 *
 * @param say  told what the user may want to know on the way
 * @returns at once; `host` resolves when the platform serves, and rejects with a SetupError when it cannot
 */
export function launchHost(options: RuntimeOptions, say: (line: string) => void): Launch {
  const child = fork(join(import.meta.dirname, "host.ts"), [], {
    // A session of its own: see host.ts.
    detached: true,
    execPath: process.execPath,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    // Wrangler would announce on standard output that it has read .dev.vars.
    env: { ...process.env, WRANGLER_LOG: "error" },
  });
  let workerd = 0;
  const kill = (): void => {
    child.kill("SIGKILL");
    if (workerd > 0) killQuietly(workerd);
  };
  const ended = once(child, "exit").then(([code]) => {
    // A host that was killed could not take workerd with it.
    if (workerd > 0) killQuietly(workerd);
    return typeof code === "number" ? code : 1;
  });
  const host = new Promise<Host>((ready, fail) => {
    child.on("message", (message: HostMessage) => {
      if (message.type === "failed") fail(new SetupError(message.message));
      else if (message.type === "migrated") announce(message.names, say);
      else {
        workerd = message.workerd;
        const stop = async (): Promise<void> => {
          if (child.connected) child.send("stop");
          await ended;
        };
        ready({ pid: child.pid ?? 0, workerd, url: message.url, inspector: message.inspector, ended, stop, kill });
      }
    });
    void ended.then((code) => fail(new SetupError(`The platform ended while starting (exit code ${code}).`)));
  });
  child.send(options);
  return { pid: child.pid ?? 0, host, kill };
}

function announce(names: readonly string[], say: (line: string) => void): void {
  if (names.length > 0) say(`Applied ${names.length} database migration${names.length === 1 ? "" : "s"}.`);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone already, which is what was wanted.
  }
}
