// Evaluates the rules of one aggregation on one window: decisions only, nothing is stored or sent here.
import type { ClosedWindow } from "../windows/window-json.ts";
import { spanOf } from "./cursor.ts";
import type { Cursor } from "./cursor.ts";
import { groupKey } from "./group.ts";
import { shownValues } from "./instance.ts";
import type { Instance, Instances } from "./instance.ts";
import { MAX_GROUP_KEY_CHARS } from "./limits.ts";
import type { Presence } from "./presence.ts";
import { Round, timeOf } from "./round.ts";
import type { Means, Occasion, Outcome, Standing } from "./round.ts";
import type { RuleLogic } from "./rule-logic.ts";

export type { Means, Occasion, Outcome, Standing, Transition } from "./round.ts";
export type { RuleLogic } from "./rule-logic.ts";

/** Keys the groups of a window, once for all rules. */
export function occasionOf(window: ClosedWindow, cursor: Cursor | null): Occasion {
  const keyed = window.groups.map(({ group, values }) => ({ key: groupKey(group), group, values }));
  const groups = keyed.filter(({ key }) => key.length <= MAX_GROUP_KEY_CHARS);
  const past = new Map(
    Object.entries(window.past ?? {}).map(([name, known]) => [
      name,
      new Map(known.map(({ group, values }) => [groupKey(group), values])),
    ]),
  );
  return { window, groups, oversized: keyed.length - groups.length, cursor, past };
}

/** Evaluates the next window: every group in it, then every open alert whose group is absent from it. */
export function evaluateNext(rule: RuleLogic, standing: Standing, occasion: Occasion, means: Means): Outcome {
  const { cursor, window, groups } = occasion;
  const { instances } = standing;
  const round = new Round(rule, standing, occasion, means);
  for (const keyed of groups) round.present(keyed);
  const present = new Set(groups.map(({ key }) => key));
  const span = spanOf(cursor, window);
  for (const key of instances.keys()) if (!present.has(key)) round.absent(key, span, timeOf(window));
  return round.outcome();
}

/** Evaluates a revision of the newest window: it may open and resolve. Its groups are all that changed; none can have gone. */
export function evaluateRevision(rule: RuleLogic, standing: Standing, occasion: Occasion, means: Means): Outcome {
  const round = new Round(rule, standing, occasion, means);
  for (const keyed of occasion.groups) round.present(keyed);
  return round.outcome();
}

/**
 * Evaluates a window that is still open, for a rule whose condition can only become truer in it: opens, and never ends.
 * The window's close confirms it. A rule with `for` waits for the close: firing sooner would cut its patience short.
 */
export function evaluateOpen(rule: RuleLogic, standing: Standing, occasion: Occasion, means: Means): Outcome {
  const round = new Round(rule, standing, occasion, means);
  if (rule.forMs === 0) for (const keyed of occasion.groups) round.early(keyed);
  return round.outcome();
}

/** Opens an alert for each group that has been quiet for too long. Follows `evaluateNext`. @param stepMs from end to end; 0 when unknown */
export function evaluateQuiet(
  rule: RuleLogic,
  standing: Standing,
  occasion: Occasion,
  means: Means & { readonly presence: Presence; readonly stepMs: number },
): Outcome {
  const round = new Round(rule, standing, occasion, means);
  const { noData } = rule;
  if (noData === null) return round.outcome();
  const afterMs = "afterMs" in noData ? noData.afterMs : noData.windows * means.stepMs;
  const { end } = occasion.window;
  for (const [key, { group, since }] of means.presence.quiet) {
    if (end - since >= afterMs && end > since) round.quiet(key, group);
  }
  return round.outcome();
}

/** Takes a revision of an older window: an open alert that still shows that window shows its new values. Nothing opens or ends. */
export function refreshShown(instances: Instances, occasion: Occasion): Instances {
  const { window } = occasion;
  let next: Map<string, Instance> | undefined;
  for (const { key, values } of occasion.groups) {
    const instance = instances.get(key);
    if (instance === undefined || instance.window.end !== window.end || instance.revision >= window.revision) continue;
    next ??= new Map(instances);
    next.set(key, { ...instance, values: shownValues(values), revision: window.revision });
  }
  return next ?? instances;
}
