/** Any JSON value, as an event's `data` may hold it. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export const SEVERITIES = ["low", "medium", "high", "critical"] as const;
export type Severity = (typeof SEVERITIES)[number];

/** One accepted event: as sent, with defaults filled, times as epoch milliseconds. */
export interface StreamEvent {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  /** Epoch ms: when it happened, by the producer's word. */
  readonly timestamp: number;
  /** Epoch ms: when ingest took it. */
  readonly receivedAt: number;
  readonly severity: Severity;
  readonly data: { readonly [key: string]: JsonValue };
  readonly metadata: { readonly [key: string]: JsonValue };
  readonly correlation_id?: string;
  readonly session_id?: string;
  readonly user_id?: string;
  readonly tags?: readonly string[];
  /**
   * True when the timestamp is the receive time because neither the event nor its id carried one. A retry of such an
   * event gets another timestamp, so its id is remembered for 24 h of receive time instead of by event time.
   */
  readonly timestampAssigned?: boolean;
}
