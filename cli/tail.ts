import { once } from "node:events";
import { field, list, textOf } from "./api.ts";
import type { Command } from "./command.ts";
import { CliError } from "./errors.ts";
import { follow } from "./live.ts";
import { textOptions } from "./options.ts";
import type { Options } from "./options.ts";
import { resolveTarget } from "./target.ts";

const HELP = `streamflow tail: print events as they arrive, until Ctrl-C.

  --lines N       of the events before, print the newest N, 0 to 50 (default: 10)
  --type TYPE     only events of this type
  --source NAME   only events from this source
  --json          one JSON object per line

Under load the platform shows a sample: how many events were skipped is printed on standard error.
`;

const TOPIC = "events";
/** Ids remembered, so that what a snapshot repeats after a lost connection is not printed twice. */
const MAX_REMEMBERED = 1_000;

/** `streamflow tail`. */
export const tail: Command = {
  help: HELP,
  options: { ...textOptions(["lines", "type", "source"]), json: { type: "boolean" } },
  run,
};

async function run(options: Options): Promise<number> {
  const history = options.integer("lines", { min: 0, max: 50 }) ?? 10;
  const [type, source] = [options.text("type"), options.text("source")];
  const format = options.has("json") ? (event: unknown) => JSON.stringify(event) : formatEvent;
  const wanted = (event: unknown): boolean =>
    (type === undefined || field(event, "type") === type) &&
    (source === undefined || field(event, "source") === source);
  const target = resolveTarget(options, process.env);
  const isNew = createMemory();
  let first = true;
  const following = follow(target, [TOPIC], {
    apply(kind, _topic, data) {
      const events = list(data, "events")
        .toReversed()
        .filter((event) => isNew(textOf(event, "id")) && wanted(event));
      const shown =
        kind === "snapshot" && first ? events.slice(events.length - Math.min(history, events.length)) : events;
      first = false;
      for (const event of shown) process.stdout.write(`${format(event)}\n`);
      const skipped = Number(field(data, "skipped") ?? 0);
      if (skipped > 0) process.stderr.write(`… ${skipped} more\n`);
    },
    onPhase(phase) {
      if (phase === "backoff") process.stderr.write("Connection lost, trying again…\n");
    },
  });
  const ended = await Promise.race([
    following.refused.then(() => "refused" as const),
    ...["SIGINT", "SIGTERM"].map((signal) => once(process, signal)),
    once(process.stdout, "close"),
  ]);
  following.stop();
  if (ended === "refused") throw new CliError(`${target.url} did not accept the key. Give a viewer's key with --key.`);
  return 0;
}

/** Tells whether an id comes for the first time; forgets the oldest. */
function createMemory(): (id: string) => boolean {
  const seen = new Set<string>();
  return (id) => {
    if (seen.has(id)) return false;
    seen.add(id);
    const [oldest] = seen;
    if (seen.size > MAX_REMEMBERED && oldest !== undefined) seen.delete(oldest);
    return true;
  };
}

/** `2026-11-22T05:00:00.000Z  order.placed  shop  medium  {"total":12.5}` */
function formatEvent(event: unknown): string {
  const parts = ["timestamp", "type", "source", "severity"].map((name) => textOf(event, name));
  return [...parts, JSON.stringify(field(event, "data") ?? {})].join("  ");
}
