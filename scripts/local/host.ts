// The process that runs Miniflare and workerd, forked by scripts/start.ts into a session of its own.
//
// Why a process of its own: Ctrl-C on a terminal is sent to every process of the foreground group. workerd would die of
// it at once, and with it the queue, which lives in its memory, before it could drain. Why it watches its parent:
// workerd outlives a killed parent and would keep the port.
import type { ChildProcess } from "node:child_process";
import { migrate } from "./migrate.ts";
import { databaseOptions, onChildStarted, platformOptions, startRuntime } from "./runtime.ts";
import type { RuntimeOptions } from "./runtime.ts";
import { SetupError, messageOf } from "./settings.ts";

/** What the host tells its parent. */
export type HostMessage =
  | { readonly type: "migrated"; readonly names: readonly string[] }
  | { readonly type: "ready"; readonly url: string; readonly workerd: number; readonly inspector?: string }
  | { readonly type: "failed"; readonly message: string };

const children = new Set<ChildProcess>();
let stopping = false;

onChildStarted((child) => {
  children.add(child);
  child.once("exit", (code, signal) => {
    children.delete(child);
    if (stopping) return;
    // Miniflare would start another workerd, but the queue's messages died with this one. Ending lets the user see it.
    process.stderr.write(
      `\nworkerd ended unexpectedly (${signal ?? `exit code ${code}`}); events still in its queue are lost.\n`,
    );
    process.exit(1);
  });
});

process.once("disconnect", () => {
  stopping = true;
  for (const child of children) child.kill("SIGKILL");
  process.exit(1);
});

process.once("message", (options: RuntimeOptions) => {
  serve(options).catch((error: unknown) => {
    tell({ type: "failed", message: error instanceof SetupError ? error.message : explain(error, options) });
    process.exitCode = 1;
    process.disconnect?.();
  });
});

async function serve(options: RuntimeOptions): Promise<void> {
  stopping = true;
  const database = await startRuntime(databaseOptions(options.state));
  const names = await migrate(await database.getD1Database("DB")).finally(() => database.dispose());
  tell({ type: "migrated", names });
  const platform = await startRuntime(platformOptions(options));
  stopping = false;
  const url = await platform.unsafeGetDirectURL("streamflow");
  const [workerd] = children;
  const inspector = options.inspector === true ? { inspector: (await platform.getInspectorURL()).href } : {};
  tell({ type: "ready", url: url.href, workerd: workerd?.pid ?? 0, ...inspector });
  process.once("message", () => {
    stopping = true;
    void platform.dispose().finally(() => process.exit(0));
  });
}

function explain(error: unknown, options: RuntimeOptions): string {
  const message = messageOf(error);
  if (/address already in use/i.test(message))
    return `Port ${options.port} on ${options.host} is in use. Set PORT to another one.`;
  if (/sqlite|database|disk|directory/i.test(message)) {
    return `The state in ${options.state} cannot be used: ${message}\nMove the directory away to start from nothing, or point STREAMFLOW_STATE elsewhere.`;
  }
  return `The runtime did not start: ${message}`;
}

function tell(message: HostMessage): void {
  process.send?.(message);
}
