/**
 * Writes a failure that no caller hears of into the log: one JSON object on one line, as workers/log.ts does.
 * @param object name of the object it happened in @param what the object was doing
 */
export function logFailure(object: string | undefined, what: string, error: unknown): void {
  const line = { level: "error", event: "object_failed", object, what, error: wordsOf(error), stack: stackOf(error) };
  // oxlint-disable-next-line no-console -- the platform collects an object's log from the console
  console.error(JSON.stringify(line));
}

function wordsOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? `: ${String(error.cause)}` : "";
  return String(error) + cause;
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
