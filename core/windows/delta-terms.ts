import type { ShardTotals } from "./shard-cursors.ts";
import type { Definition } from "./definition.ts";
import { FINGERPRINT_WORDS, fingerprint } from "./fingerprint.ts";
import { type Plan, planOf } from "./plan.ts";

/** An aggregation as home keeps it. */
export interface StoredDefinition {
  readonly id: number;
  readonly definition: Definition;
}

/** What home answers a delta. */
export interface MergeAnswer {
  /** Every event of the shard's log before this sequence number is merged; its next delta begins there. */
  readonly cursor: number;
  /** What home knows the shard to have done. */
  readonly totals: ShardTotals;
  /** Of home's definitions. */
  readonly epoch: string;
  /** Only when the delta was counted by others. */
  readonly definitions: readonly StoredDefinition[] | null;
  /** By aggregation: [id, epoch ms, or null before the first event]. Events before it are counted as late. */
  readonly watermarks: readonly (readonly [id: number, watermark: number | null])[];
}

/** What a shard counts by. */
export interface DeltaTerms {
  readonly epoch: string;
  readonly plans: readonly { readonly id: number; readonly plan: Plan }[];
  readonly watermarks: ReadonlyMap<number, number>;
}

/** Tells one list of definitions from another: deltas counted by another list than home's are not merged. */
export function epochOf(definitions: readonly StoredDefinition[]): string {
  const words = new Uint32Array(FINGERPRINT_WORDS);
  fingerprint(JSON.stringify(definitions.map(({ id, definition }) => [id, definition])), words, 0);
  return [...words].map((word) => word.toString(16).padStart(8, "0")).join("");
}

/** @throws Error when a definition does not compile here */
export function termsOf(
  epoch: string,
  definitions: readonly StoredDefinition[],
  watermarks: MergeAnswer["watermarks"],
): DeltaTerms {
  const plans = definitions.map(({ id, definition }) => {
    const planned = planOf(definition);
    if (!planned.ok) throw new Error(`definition ${definition.name} does not compile: ${planned.problems[0]?.message}`);
    return { id, plan: planned.plan };
  });
  return { epoch, plans, watermarks: watermarkMap(watermarks) };
}

export function watermarkMap(watermarks: MergeAnswer["watermarks"]): ReadonlyMap<number, number> {
  return new Map(watermarks.map(([id, watermark]) => [id, watermark ?? -Infinity]));
}
