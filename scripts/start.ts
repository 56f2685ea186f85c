// `npm start`: builds what has changed, migrates the local database and serves StreamFlow until it is told to stop.
import { randomUUID } from "node:crypto";
import { createServer } from "node:net";
import { join } from "node:path";
import { build } from "./local/build.ts";
import { drain } from "./local/drain.ts";
import { awaitPredecessor, claimState, markStopping, releaseState, updateNote } from "./local/running.ts";
import { ensureSecrets } from "./local/secrets.ts";
import { ROOT, SetupError, prepareState, readSettings } from "./local/settings.ts";
import type { Settings } from "./local/settings.ts";
import { launchHost } from "./local/supervise.ts";
import type { Host } from "./local/supervise.ts";

const DRAIN_LIMIT_MS = 20_000;
/** Under npm one Ctrl-C arrives twice, from the terminal and from npm; only a later one means "now". */
const SECOND_SIGNAL_AFTER_MS = 500;

const ORPHAN_CHECK_MS = 250;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

main().catch((error: unknown) => {
  const text =
    error instanceof SetupError
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error);
  process.stderr.write(`\nStreamFlow did not start.\n${text}\n`);
  process.exitCode = 1;
});

async function main(): Promise<void> {
  const settings = readSettings(process.env);
  prepareState(settings.state);
  await awaitPredecessor(settings.state, say);
  await expectFreePort(settings);
  const secrets = ensureSecrets(join(ROOT, ".dev.vars"), process.env);
  const admin_key = secrets.ADMIN_KEY;
  const note = { pid: process.pid, host: 0, workerd: 0, url: urlOf(settings), admin_key, stopping: false };
  claimState(settings.state, note);
  process.once("exit", () => releaseState(settings.state));

  const stopped = stopSignal(() => markStopping(settings.state));
  const built = await Promise.race([build(say), stopped.first]);
  if (built === undefined) return;
  const launch = launchHost(
    {
      ...settings,
      ...built,
      vars: { ...secrets, STREAMFLOW_MODE: "local", QUEUE_EPOCH: randomUUID() },
    },
    say,
  );
  updateNote(settings.state, { ...note, host: launch.pid });
  stopped.atOnce = () => launch.kill();
  const host = await Promise.race([launch.host, stopped.first]);
  if (host === undefined) return launch.kill();
  updateNote(settings.state, { ...note, host: host.pid, workerd: host.workerd });
  greet(settings, secrets.ADMIN_KEY);

  const code = await Promise.race([host.ended, stopped.first]);
  if (code === undefined) await stop(host, note.url, secrets.ADMIN_KEY);
  else process.exitCode = code === 0 ? 1 : code;
}

async function stop(host: Host, url: string, adminKey: string): Promise<void> {
  say("\nStopping: new events are refused, the queue drains. Press Ctrl-C again to stop at once.");
  const { left, problem } = await drain(url, adminKey, DRAIN_LIMIT_MS);
  if (problem !== undefined) say(`The queue may not be empty: ${problem}.`);
  else if (left === 0) say("The queue is empty.");
  else
    say(
      `${left ?? "An unknown number of"} queue messages did not drain in ${DRAIN_LIMIT_MS / 1000} s and are lost; send their events again.`,
    );
  await host.stop();
  say("Stopped.");
}

/**
 * The first SIGTERM, SIGINT or SIGHUP resolves `first`; a later one ends everything at once.
 *
 * So does the end of npm: it runs this script under a shell, and a signal to npm ends the shell and npm, but never
 * reaches this process.
 */
function stopSignal(onFirst: () => void): { first: Promise<undefined>; atOnce: () => void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let firstAt: number | undefined;
  const stopped = { first: promise, atOnce: (): void => undefined };
  const begin = (): void => {
    onFirst();
    resolve(undefined);
  };
  const onSignal = (): void => {
    const now = performance.now();
    if (firstAt === undefined) {
      firstAt = now;
      begin();
    } else if (now - firstAt > SECOND_SIGNAL_AFTER_MS) {
      stopped.atOnce();
      process.exit(1);
    }
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, onSignal);
  const parent = process.ppid;
  if (process.env["npm_lifecycle_event"] !== undefined) {
    const watch = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(watch);
      begin();
    }, ORPHAN_CHECK_MS);
    watch.unref();
  }
  return stopped;
}

/** Says early and plainly that the port is taken, before anything is built. */
function expectFreePort({ host, port }: Settings): Promise<void> {
  return new Promise((free, fail) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE")
        fail(new SetupError(`Port ${port} on ${host} is in use. Set PORT to another one.`));
      else fail(new SetupError(`Cannot listen on ${host}:${port}: ${error.message}`));
    });
    probe.listen(port, host, () => probe.close(() => free()));
  });
}

/** The URL a browser on this machine would use. */
function urlOf({ host, port }: Settings): string {
  const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return `http://${name}:${port}/`;
}

function greet(settings: Settings, adminKey: string): void {
  say(
    [
      "",
      "StreamFlow is running.",
      `  Dashboard  ${urlOf(settings)}`,
      `  Admin key  ${adminKey}`,
      `  State      ${settings.state}`,
      "  Ctrl-C stops it after the queue has drained.",
      "",
    ].join("\n"),
  );
}
