import { FLOW_ALGORITHMS, type FlowAlgorithm } from "./controller.ts";
import { isRecord } from "./snapshot.ts";

/** What a tenant's admin may set, and the weight that only the operator sets. */
export interface FlowSettings {
  readonly algorithm: FlowAlgorithm;
  readonly quota: {
    /** Events the bucket gains per second. Raising it lets more in for good. */
    readonly events_per_second: number;
    /** Events the bucket holds. Raising it lets a longer burst through. */
    readonly burst: number;
    /** Bytes of request bodies per second; the bucket holds ten seconds of it. */
    readonly bytes_per_second: number;
  };
  /** Part of a shared capacity, relative to the other tenants'. */
  readonly weight: number;
}

/** Generous: it is there to keep one runaway producer from filling the queue, not to be met in ordinary use. */
export const DEFAULT_FLOW_SETTINGS: FlowSettings = {
  algorithm: "adaptive",
  quota: { events_per_second: 500_000, burst: 2_000_000, bytes_per_second: 500_000_000 },
  weight: 1,
};

/** Inclusive bounds of each number. */
const BOUNDS = {
  events_per_second: [1, 10_000_000],
  burst: [1, 100_000_000],
  bytes_per_second: [1_000, 10_000_000_000],
  weight: [0.01, 1_000],
} as const;

/** What is wrong with settings: the field, dotted, and why. */
export interface BadSetting {
  readonly field: string;
  readonly reason: string;
}

/**
 * Settings changed by what a request names; what it leaves out stays.
 * @param body any JSON value
 * @returns the new settings, or the first field that cannot be taken
 */
export function changedSettings(current: FlowSettings, body: unknown): FlowSettings | BadSetting {
  if (!isRecord(body)) return { field: "", reason: "must be a JSON object" };
  const quota = body["quota"] === undefined ? {} : body["quota"];
  if (!isRecord(quota)) return { field: "quota", reason: "must be an object" };
  const bad =
    unknownName(body, ["algorithm", "quota", "weight"], "") ??
    unknownName(quota, ["events_per_second", "burst", "bytes_per_second"], "quota.") ??
    badAlgorithm(body["algorithm"]) ??
    badNumber(quota, "events_per_second", "quota.") ??
    badNumber(quota, "burst", "quota.") ??
    badNumber(quota, "bytes_per_second", "quota.") ??
    badNumber(body, "weight", "");
  if (bad !== undefined) return bad;
  return {
    algorithm: isAlgorithm(body["algorithm"]) ? body["algorithm"] : current.algorithm,
    quota: {
      events_per_second: number(quota, "events_per_second", current.quota.events_per_second),
      burst: number(quota, "burst", current.quota.burst),
      bytes_per_second: number(quota, "bytes_per_second", current.quota.bytes_per_second),
    },
    weight: number(body, "weight", current.weight),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function isAlgorithm(value: unknown): value is FlowAlgorithm {
  return FLOW_ALGORITHMS.some((name) => name === value);
}

function badAlgorithm(value: unknown): BadSetting | undefined {
  if (value === undefined || isAlgorithm(value)) return undefined;
  return { field: "algorithm", reason: `must be one of ${FLOW_ALGORITHMS.join(", ")}` };
}

function badNumber(fields: Fields, name: keyof typeof BOUNDS, prefix: string): BadSetting | undefined {
  const value = fields[name];
  const [least, most] = BOUNDS[name];
  if (value === undefined || (typeof value === "number" && value >= least && value <= most)) return undefined;
  return { field: prefix + name, reason: `must be a number from ${least} to ${most}` };
}

function unknownName(fields: Fields, known: readonly string[], prefix: string): BadSetting | undefined {
  const name = Object.keys(fields).find((one) => !known.includes(one));
  return name === undefined ? undefined : { field: prefix + name, reason: "is not known" };
}

function number(fields: Fields, name: string, otherwise: number): number {
  const value = fields[name];
  return typeof value === "number" ? value : otherwise;
}
