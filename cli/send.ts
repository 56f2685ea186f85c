import { call, textOf } from "./api.ts";
import type { Command } from "./command.ts";
import { UsageError, messageOf } from "./errors.ts";
import { textOptions } from "./options.ts";
import type { Options } from "./options.ts";
import { resolveTarget } from "./target.ts";

const HELP = `streamflow send [JSON]: send one event and print its id.

The event is the JSON given, or "-" for standard input, with these options laid over it:
  --type TYPE --source NAME --id ID --timestamp TIME --severity low|medium|high|critical
  --user ID --session ID --correlation ID --tag TAG,TAG --data JSON --metadata JSON

  streamflow send --type order.placed --source shop --data '{"total": 12.5}'
`;

const TEXT_FIELDS = {
  type: "type",
  source: "source",
  id: "id",
  timestamp: "timestamp",
  severity: "severity",
  user: "user_id",
  session: "session_id",
  correlation: "correlation_id",
} as const;

/** `streamflow send`. */
export const send: Command = {
  help: HELP,
  options: textOptions([...Object.keys(TEXT_FIELDS), "tag", "data", "metadata"]),
  run,
};

async function run(options: Options): Promise<number> {
  const event = await readEvent(options);
  const data = await call(resolveTarget(options, process.env), "POST", "/events", event);
  process.stdout.write(`${textOf(data, "event_id")}\n`);
  return 0;
}

async function readEvent(options: Options): Promise<Record<string, unknown>> {
  const [text, ...more] = options.positionals;
  if (more.length > 0) throw new UsageError("Give one event, as one argument.");
  const event = text === undefined ? {} : readObject("the event", text === "-" ? await readInput() : text);
  for (const [option, name] of Object.entries(TEXT_FIELDS)) {
    const value = options.text(option);
    if (value !== undefined) event[name] = option === "timestamp" && /^\d+$/.test(value) ? Number(value) : value;
  }
  const tags = options.text("tag");
  if (tags !== undefined) event["tags"] = tags.split(",");
  for (const name of ["data", "metadata"]) {
    const value = options.text(name);
    if (value !== undefined) event[name] = readObject(`--${name}`, value);
  }
  if (Object.keys(event).length === 0) throw new UsageError("Give an event, or at least --type and --source.");
  return event;
}

function readObject(what: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${what} is not JSON: ${messageOf(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new UsageError(`${what} must be a JSON object.`);
  return Object.fromEntries(Object.entries(value));
}

async function readInput(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(Buffer.from(part));
  return Buffer.concat(parts).toString("utf8");
}
