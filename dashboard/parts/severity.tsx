import type { Severity as SeverityName } from "../../core/events/event.ts";
import { Mark, type Status } from "./mark.tsx";

/** Medium is the default of every event and gets no colour: it would paint everything. */
const STATUS: Record<SeverityName, Status | null> = { low: "info", medium: null, high: "error", critical: "critical" };

/** An event's severity as shape and word. */
export function Severity({ severity }: { severity: SeverityName }) {
  const status = STATUS[severity];
  return (
    <span class="status" data-status={status ?? "none"}>
      {status === null ? <span class="mark mark-none" aria-hidden="true" /> : <Mark status={status} />}
      {severity}
    </span>
  );
}
