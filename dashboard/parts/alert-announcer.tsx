import { useEffect, useRef, useState } from "preact/hooks";
import type { AlertView } from "../stores/alert-view.ts";
import { alertViews, openAlerts } from "../stores/alerts.ts";

/** Says once, to screen readers, that an alert has begun to fire: politely, or at once when it is critical. What fired before the page was opened is not said. */
export function AlertAnnouncer() {
  const known = useRef<ReadonlySet<string> | null>(null);
  const [fresh, setFresh] = useState<readonly AlertView[]>([]);
  useEffect(
    () =>
      openAlerts.subscribe((open) => {
        if (alertViews.peek() === null) return;
        const before = known.current;
        known.current = new Set(open.map(({ id }) => id));
        const begun = before === null ? [] : open.filter(({ id }) => !before.has(id));
        if (begun.length > 0) setFresh(begun);
      }),
    [],
  );
  return (
    <div class="visually-hidden">
      <p role="status">{words(fresh.filter(({ level }) => level !== "critical"))}</p>
      <p role="alert">{words(fresh.filter(({ level }) => level === "critical"))}</p>
    </div>
  );
}

function words(alerts: readonly AlertView[]): string {
  return alerts.map(({ level, ruleName }) => `New ${level} alert: ${ruleName}`).join(". ");
}
