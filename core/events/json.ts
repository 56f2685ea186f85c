import type { StreamEvent } from "./event.ts";
import { rfc3339 } from "./rfc3339.ts";

/** An event as the API answers it: times are RFC 3339 in UTC with milliseconds. */
export interface EventJson extends Omit<StreamEvent, "timestamp" | "receivedAt" | "timestampAssigned"> {
  readonly timestamp: string;
  readonly received_at: string;
}

/** The event for a response body. `timestampAssigned` is the pipeline's own business and stays inside. */
export function toEventJson(event: StreamEvent): EventJson {
  const { id, type, source, timestamp, receivedAt, timestampAssigned: _, ...rest } = event;
  return {
    id,
    type,
    source,
    timestamp: rfc3339(timestamp),
    received_at: rfc3339(receivedAt),
    ...rest,
  };
}
