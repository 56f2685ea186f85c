/**
 * Whether the platform marked an exception of a Durable Object call so: `overloaded` calls must not be repeated at once,
 * `retryable` ones may be if they are harmless twice.
 * @see https://developers.cloudflare.com/durable-objects/best-practices/error-handling/
 */
export function isMarked(error: unknown, mark: "overloaded" | "retryable"): boolean {
  return error instanceof Error && Object.entries(error).some(([name, value]) => name === mark && value === true);
}
