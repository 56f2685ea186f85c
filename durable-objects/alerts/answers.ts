import type { AlertJson } from "../../core/alerts/alert.ts";
import type { HistoryEntry } from "../../core/alerts/alert-life.ts";
import type { ChannelJson, ChannelTarget, DraftTarget } from "../../core/alerts/channel.ts";
import type { Silence, SilenceJson } from "../../core/alerts/dispatch/silence.ts";
import type { RuleSpec } from "../../core/alerts/rule.ts";
import type { Pass } from "../../core/streams/circuit-breaker.ts";
import type { ChannelState } from "./channel-health.ts";
import type { Strain } from "../../core/alerts/delivery.ts";
import type { Delivery, Waiting } from "./outbox.ts";
import type { StoredRule } from "./rule-book.ts";

/** What a rule is written with; its condition was compiled by the caller. */
export interface RuleDraft {
  /** Null makes a new rule. */
  readonly id: string | null;
  readonly spec: RuleSpec;
  readonly measures: readonly string[];
  /** Of its aggregation, epoch ms; null before its first event. */
  readonly watermark: number | null;
}

/** A rule and how it is doing. */
export interface RuleView {
  readonly rule: StoredRule;
  readonly openAlerts: number;
  /** Epoch ms up to which its aggregation's windows have been evaluated; null before the first. */
  readonly evaluatedThrough: number | null;
  /** Groups whose condition could not be evaluated, and why: the newest one, or the whole condition. */
  readonly errors: number;
  readonly lastError: string | null;
  /** Groups that opened no alert because of a limit. */
  readonly refused: number;
}

export type RuleAnswer =
  | { readonly ok: true; readonly view: RuleView }
  | { readonly ok: false; readonly reason: "not_found" | "too_many" }
  | {
      readonly ok: false;
      readonly reason: "unknown_channel";
      readonly field: "channels" | "escalation_channels";
      readonly index: number;
    };

/** A channel to make; its target was judged by the caller. */
export interface ChannelDraft {
  readonly name: string;
  readonly target: DraftTarget;
}

export type ChannelAnswer =
  | { readonly ok: true; readonly channel: ChannelJson }
  | { readonly ok: false; readonly reason: "too_many" | "no_encryption_key" };

/** Whether a channel is gone. */
export type ChannelRemoval =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: "not_found" }
  /** `rules`: names of those that use it. */
  | { readonly ok: false; readonly reason: "in_use"; readonly rules: readonly string[] };

/** An alert with everything that happened to it, oldest first. */
export interface AlertFile {
  readonly alert: AlertJson;
  readonly history: readonly HistoryEntry[];
  readonly deliveries: readonly Delivery[];
  readonly waiting: readonly (Waiting & { readonly isHeld: boolean })[];
}

/** A channel and how it is doing. */
export interface ChannelView extends ChannelJson {
  readonly state: ChannelState & {
    /** Notifications that wait for their delivery. */
    readonly waiting: number;
  };
}

export type ActionAnswer =
  | { readonly ok: true; readonly alert: AlertJson }
  | { readonly ok: false; readonly reason: "not_found" | "not_firing" };

/** What the sender needs for one attempt; `settled` when there is nothing left to do, `held` when not now. */
export type Claim =
  | { readonly kind: "settled" }
  | { readonly kind: "held" }
  /** It waited too long: not to be tried any more. */
  | { readonly kind: "expired"; readonly alertId: string; readonly attempt: number; readonly body: string }
  | {
      readonly kind: "attempt";
      readonly alertId: string;
      readonly attempt: number;
      readonly body: string;
      /** Null when the channel is gone or cannot be decrypted any more. */
      readonly target: ChannelTarget | null;
      readonly pass: Pass | null;
    };

/** An attempt, and when the next one follows: epoch ms, null when there is none. */
export interface DeliveryReport {
  readonly alertId: string;
  readonly delivery: Delivery;
  readonly retryAt: number | null;
  /** Null when the receiver was not asked. */
  readonly strain: Strain | null;
  /** Of the claim. */
  readonly pass: Pass | null;
}

/** What a silence is made of. */
export interface SilenceDraft extends Omit<Silence, "id" | "createdAt" | "startsAt"> {
  /** Epoch ms; null begins now. */
  readonly startsAt: number | null;
}

export type SilenceAnswer =
  | { readonly ok: true; readonly silence: SilenceJson }
  | { readonly ok: false; readonly reason: "has_ended" | "too_many" };
