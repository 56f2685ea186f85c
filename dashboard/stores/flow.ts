import { fields, number, text, type Fields } from "../live/decode.ts";

/** How a tenant's events are let in, and how far what comes after keeps up. Rates are events per second. */
export interface Flow {
  readonly algorithm: string;
  readonly quota: { readonly eventsPerSecond: number; readonly burst: number; readonly bytesPerSecond: number };
  readonly weight: number;
  readonly isPressed: boolean;
  /** Null: nothing but the quota limits. */
  readonly limit: number | null;
  readonly inFlight: number;
  readonly window: number;
  readonly oldestMs: number;
  readonly acceptedPerSecond: number;
  readonly appliedPerSecond: number;
  readonly refusals: number;
  /** Name and state of each circuit breaker, e.g. `store`, `closed`. */
  readonly circuits: readonly (readonly [string, string])[];
  readonly requests: { readonly offered: number; readonly admitted: number; readonly refused: number };
  readonly events: { readonly admitted: number; readonly applied: number };
}

/** Read the answer of `GET /api/v1/flow`. */
export function decodeFlow(data: unknown): Flow {
  const found = fields(data) ?? {};
  const [quota, state, ledger] = [part(found, "quota"), part(found, "state"), part(found, "ledger")];
  const [requests, events] = [part(ledger, "requests"), part(ledger, "events")];
  return {
    algorithm: text(found["algorithm"]),
    quota: {
      eventsPerSecond: number(quota["events_per_second"]),
      burst: number(quota["burst"]),
      bytesPerSecond: number(quota["bytes_per_second"]),
    },
    weight: number(found["weight"], 1),
    isPressed: state["pressed"] === true,
    limit: typeof state["limit"] === "number" ? state["limit"] : null,
    inFlight: number(state["in_flight"]),
    window: number(state["window"]),
    oldestMs: number(state["oldest_message_ms"]),
    acceptedPerSecond: number(state["accepted_per_second"]),
    appliedPerSecond: number(state["applied_per_second"]),
    refusals: number(state["refusals"]),
    circuits: Object.entries(part(state, "circuits")).map(([name, circuit]) => [name, circuitText(circuit)] as const),
    requests: {
      offered: number(requests["offered"]),
      admitted: number(requests["admitted"]),
      refused: number(requests["refused"]),
    },
    events: { admitted: number(events["admitted"]), applied: number(events["applied"]) },
  };
}

function part(of: Fields, name: string): Fields {
  return fields(of[name]) ?? {};
}

function circuitText(circuit: unknown): string {
  return text(circuit) || text(fields(circuit)?.["state"], "unknown");
}
