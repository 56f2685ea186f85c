import type { AlertRecord } from "../alert.ts";
import type { Inhibition, RulePolicy } from "./rule-policy.ts";

/**
 * Which firing alerts make others unimportant.
 *
 * A rule names the alerts that inhibit its own: a page that the data centre is down says all that a hundred pages about its
 * machines could. A source counts whether or not it is kept quiet itself, and a rule never inhibits its own alerts.
 * @see Alertmanager, inhibit/inhibit.go
 */
export class Inhibitor {
  readonly #firing: () => readonly AlertRecord[];
  readonly #isNeeded: boolean;
  /** Id of a source by agreement, for each inhibition asked about so far. */
  readonly #sources = new Map<Inhibition, ReadonlyMap<string, AlertRecord>>();
  #all: readonly AlertRecord[] | undefined;

  /** @param firing all alerts that fire; asked for once, and only if some rule can be inhibited */
  constructor(policies: readonly RulePolicy[], firing: () => readonly AlertRecord[]) {
    this.#firing = firing;
    this.#isNeeded = policies.length > 0;
  }

  /** Whether it matters to a rule's alerts that this one fires or ends. */
  concerns(source: AlertRecord, policy: RulePolicy): boolean {
    return source.ruleId !== policy.ruleId && policy.inhibitions.some(({ matches }) => matches(source));
  }

  /** @returns the id of an alert that inhibits this one, or null */
  inhibitorOf(record: AlertRecord, policy: RulePolicy): string | null {
    if (!this.#isNeeded) return null;
    for (const inhibition of policy.inhibitions) {
      const source = this.#sourcesOf(inhibition, policy.ruleId).get(inhibition.agreement(record));
      if (source !== undefined) return source.id;
    }
    return null;
  }

  #sourcesOf(inhibition: Inhibition, ruleId: string): ReadonlyMap<string, AlertRecord> {
    const known = this.#sources.get(inhibition);
    if (known !== undefined) return known;
    this.#all ??= this.#firing();
    const sources = new Map<string, AlertRecord>();
    for (const record of this.#all) {
      if (record.ruleId !== ruleId && inhibition.matches(record)) sources.set(inhibition.agreement(record), record);
    }
    this.#sources.set(inhibition, sources);
    return sources;
  }
}
