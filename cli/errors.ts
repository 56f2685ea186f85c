/** Something the user can act on: printed as one line, exit code 1. */
export class CliError extends Error {}

/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {}

/** The message of whatever was thrown, with the cause that network errors hide. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error && error.cause.message !== "" ? `: ${error.cause.message}` : "";
  return `${error.message}${cause}`;
}
