/** One line of the log: a flat JSON object. Never put credentials, bodies or query strings in it. */
export interface LogFields {
  readonly level: "info" | "warn" | "error";
  /** What happened, e.g. `request` or `queue_batch`: what one filters by. */
  readonly event: string;
  readonly [field: string]: string | number | boolean | null | undefined;
}

/** Writes one line as a single JSON object, which Workers Logs index by field. JSON escaping keeps a newline in a value from forging a line. */
export function log(fields: LogFields): void {
  // oxlint-disable-next-line no-console -- the one place that writes: the console is the platform's log
  console.log(JSON.stringify(fields));
}

/** Logs a surprise with its stack. `fields` say where it happened. */
export function logError(event: string, error: unknown, fields: Record<string, string | number | null> = {}): void {
  const isError = error instanceof Error;
  log({
    level: "error",
    event,
    message: isError ? error.message : String(error),
    stack: isError ? error.stack : undefined,
    ...fields,
  });
}
