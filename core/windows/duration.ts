const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Reads a duration like `500ms`, `10s`, `5m`, `1h` or `1d`.
 * @returns whole milliseconds ≥ 0 and ≤ 400 days, or null when the text is not such a duration
 */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (match === null) return null;
  const ms = Number(match[1]) * (UNIT_MS[match[2] ?? ""] ?? Number.NaN);
  return ms <= MAX_DURATION_MS ? ms : null;
}

/** Longer windows, gaps and lateness are refused: 400 days covers a year with room for its lateness. */
export const MAX_DURATION_MS = 400 * 86_400_000;

/** @returns whole milliseconds @throws RangeError when the text is not a duration */
export function durationMs(text: string): number {
  const parsed = parseDuration(text);
  if (parsed === null) throw new RangeError(`not a duration: ${text}`);
  return parsed;
}
