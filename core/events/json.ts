import type { JsonValue, Severity, StreamEvent } from "./event.ts";

/** An event as the API answers it: times are RFC 3339 in UTC with milliseconds. */
export interface EventJson {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  readonly timestamp: string;
  readonly received_at: string;
  readonly severity: Severity;
  readonly data: { readonly [key: string]: JsonValue };
  readonly metadata: { readonly [key: string]: JsonValue };
  readonly correlation_id?: string;
  readonly session_id?: string;
  readonly user_id?: string;
  readonly tags?: readonly string[];
}

/** The event for a response body. `timestampAssigned` is the pipeline's own business and stays inside. */
export function toEventJson(event: StreamEvent): EventJson {
  const { id, type, source, timestamp, receivedAt, timestampAssigned: _, ...rest } = event;
  return {
    id,
    type,
    source,
    timestamp: new Date(timestamp).toISOString(),
    received_at: new Date(receivedAt).toISOString(),
    ...rest,
  };
}
