import type { PatternSpec } from "../../../core/patterns/definition.ts";
import type { PatternEvent } from "../../../core/patterns/event-list.ts";
import { FIRST, SECOND } from "../../../core/patterns/plan.ts";

/** Matches as text, straight from the definition, over all pairs and runs of one key's events. */
export function matchesByHand({ kind, withinMs, times }: PatternSpec, events: readonly PatternEvent[]): string[] {
  const sorted = events.toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  const followers = (k: number): PatternEvent[] =>
    sorted.filter((event, j) => j > k && (event.steps & SECOND) !== 0 && event.at - (sorted[k]?.at ?? 0) < withinMs);
  const runEndingAt = (k: number): PatternEvent[] | undefined => {
    const run = k - times + 1 < 0 ? [] : sorted.slice(k - times + 1, k + 1);
    const isFull = run.length === times && (run.at(-1)?.at ?? 0) - (run[0]?.at ?? 0) < withinMs;
    return isFull ? run : undefined;
  };
  return sorted.flatMap((event, k) => {
    if (kind === "count") {
      const run = runEndingAt(k);
      return run !== undefined && runEndingAt(k - 1) === undefined ? [named(run, event.at)] : [];
    }
    if ((event.steps & FIRST) === 0) return [];
    const [answer] = followers(k);
    if (kind === "sequence") return answer === undefined ? [] : [named([event, answer], answer.at)];
    return answer === undefined ? [named([event], event.at + withinMs)] : [];
  });
}

export function named(events: readonly PatternEvent[], at: number): string {
  return `${events.map(({ id }) => id).join(" ")} @${at}`;
}
