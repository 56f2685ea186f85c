import type { AlertRecord } from "../alert.ts";
import type { HistoryEntry } from "../alert-life.ts";
import type { Bundle } from "./bundle.ts";
import type { RulePolicy } from "./rule-policy.ts";
import type { CompiledSilence } from "./silence.ts";
import type { Track } from "./track.ts";

/** What is on disk. */
export interface DispatchShelf {
  alert(id: string): AlertRecord | null;
  /** Alerts that fired and have not ended: of one rule, or all. */
  firing(ruleId: string | null): readonly AlertRecord[];
  /** How an alert ended; null when it has not. */
  ending(id: string): HistoryEntry | null;
  bundle(key: string): Bundle | null;
  track(ruleId: string, key: string): Track | null;
  /** Undefined when the rule is gone. */
  policy(ruleId: string): RulePolicy | undefined;
  /** Policies of enabled rules that others can inhibit. */
  inhibited(): readonly RulePolicy[];
  silences(): readonly CompiledSilence[];
  /** Whether a channel has not yet answered to a message. */
  isWaiting(messageId: string, channelId: string): boolean;
}

/** Something to tell. */
export interface DispatchMessage {
  /** The webhook-id: the same for every attempt and every channel. */
  readonly id: string;
  /** Messages of one thread reach a channel in their order. */
  readonly threadId: string;
  readonly kind: "firing" | "acknowledged" | "resolved" | "bundle";
  readonly channels: readonly string[];
  /** The message that a channel must have had before, by channel. */
  readonly after: Readonly<Record<string, string>>;
  /** The alerts as they are when it is made; one, unless it is a bundle's. */
  readonly firing: readonly AlertRecord[];
  readonly resolved: readonly Ended[];
  readonly bundle: Bundle;
}

/** An alert that ended, with the line of its history that says how. */
export interface Ended {
  readonly record: AlertRecord;
  readonly entry: HistoryEntry | null;
}

/** An alert as it is now, with the lines its history gained. */
export interface Written {
  readonly record: AlertRecord;
  readonly entries: readonly HistoryEntry[];
}

/** What is to be written down. */
export interface DispatchResult {
  readonly alerts: readonly Written[];
  /** By key; null: deleted. */
  readonly bundles: ReadonlyMap<string, Bundle | null>;
  readonly tracks: readonly Track[];
  readonly messages: readonly DispatchMessage[];
}

/** What dispatching needs from outside. */
export interface DispatchMeans {
  readonly nowMs: number;
  readonly newId: () => string;
  /** Whether a channel is told of acknowledgements. */
  readonly hearsAcknowledgements: (channelId: string) => boolean;
}
