import type { LeaseLedger } from "../../core/flow/lease.ts";
import type { FlowSettings } from "../../core/flow/settings.ts";
import type { TenantFlow } from "../../core/flow/tenant-flow.ts";
import type { CircuitFigures, Downstream } from "./downstream.ts";

/** What `GET /api/v1/flow` shows of a tenant. */
export interface FlowState {
  readonly algorithm: FlowSettings["algorithm"];
  readonly quota: FlowSettings["quota"];
  readonly weight: number;
  readonly state: {
    /** Whether there is a queue, or was within the last second. */
    readonly pressed: boolean;
    /** Events per second that may come now; null for no limit but the quota. */
    readonly limit: number | null;
    /** Events that should be in flight at most. */
    readonly window: number;
    /** Events accepted and not yet applied. */
    readonly in_flight: number;
    /** Events in flight beyond the window. */
    readonly backlog: number;
    readonly oldest_message_ms: number;
    /** The most that any message waited within the last second. */
    readonly longest_wait_ms: number;
    /** How late timers fire where requests come in; 0 while nobody looks. */
    readonly lag_ms: number;
    /** Events per second of long ago that may come now; null while none come. */
    readonly old_events_limit: number | null;
    readonly accepted_per_second: number;
    readonly applied_per_second: number;
    /** Events per second that are applied when there is a queue. */
    readonly capacity_per_second: number;
    /** The tenant's part of what tenants share; null without pressure. */
    readonly share: { readonly guaranteed: number; readonly at_most: number | null } | null;
    /** Calls to the objects that were refused since this object started. */
    readonly refusals: number;
    /** Calls to the objects that may run at once; null when no consumer has reported of late. */
    readonly call_window: number | null;
    readonly apply_ms: number | null;
    readonly store_ms: number | null;
    readonly circuits: CircuitFigures;
  };
  /** Requests offered = admitted + refused; events admitted = applied + in_flight. */
  readonly ledger: {
    readonly requests: { readonly offered: number; readonly admitted: number; readonly refused: number };
    readonly events: {
      readonly admitted: number;
      readonly applied: number;
      readonly in_flight: number;
    };
    readonly bytes_admitted: number;
  };
}

/** The parts of a RateController that it is read from. */
export interface FlowParts {
  readonly settings: FlowSettings;
  readonly ledger: LeaseLedger;
  readonly flow: TenantFlow;
  readonly downstream: Downstream;
}

/** The state of a tenant's flow as of now. */
export function flowState({ settings, ledger, flow, downstream }: FlowParts, nowMs: number): FlowState {
  const { isPressed, ratePerSecond, window, capacityPerSecond, ...waits } = flow.state(nowMs);
  const { accepted, acceptedBytes, applied } = ledger.totals;
  // A shard's report may be quicker than the isolate's: then what it applied was admitted, though nobody has said so yet.
  const admitted = Math.max(accepted, applied);
  const share = flow.share(nowMs);
  const calls = downstream.calls(nowMs);
  const { admission } = flow;
  const { requests } = ledger;
  return {
    ...settings,
    state: {
      pressed: isPressed,
      limit: ratePerSecond === null ? null : Math.round(ratePerSecond),
      window: Math.round(window),
      in_flight: admitted - applied,
      backlog: Math.max(0, Math.round(admitted - applied - window)),
      oldest_message_ms: waits.oldestAgeMs,
      longest_wait_ms: waits.longestWaitMs,
      lag_ms: Math.round(waits.lagMs),
      old_events_limit: rounded(flow.oldRate(nowMs)),
      accepted_per_second: Math.round(admission.acceptedRate(nowMs)),
      applied_per_second: Math.round(admission.appliedRate(nowMs)),
      capacity_per_second: Math.round(capacityPerSecond),
      share: share === null ? null : { guaranteed: Math.round(share.guaranteed), at_most: rounded(share.atMost) },
      refusals: downstream.refusals,
      call_window: calls?.window ?? null,
      apply_ms: calls?.applyMs ?? null,
      store_ms: downstream.storeMs(nowMs),
      circuits: downstream.circuits(nowMs),
    },
    ledger: {
      requests: { offered: requests.admitted + requests.refused, ...requests },
      events: { admitted, applied, in_flight: admitted - applied },
      bytes_admitted: acceptedBytes,
    },
  };
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value);
}
