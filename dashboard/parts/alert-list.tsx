import type { ComponentChildren } from "preact";
import { label } from "../format/value.ts";
import { duration, exact } from "../format/time.ts";
import { serverNowMs } from "../live/clock.ts";
import type { AlertView } from "../stores/alert-view.ts";
import { Link } from "../router.tsx";
import { Mark } from "./mark.tsx";

/** Alerts with what they are about and for how long. */
export function AlertList({ alerts }: { alerts: readonly AlertView[] }) {
  return (
    <ul class="alerts">
      {alerts.map((alert) => (
        <AlertItem key={alert.id} alert={alert} />
      ))}
    </ul>
  );
}

/** One alert; `children` are what can be done about it. */
export function AlertItem({ alert, children }: { alert: AlertView; children?: ComponentChildren }) {
  const { level, status, ruleName, sinceMs } = alert;
  return (
    <li class="alert" data-status={status} data-level={level}>
      <Mark status={level} outline={status !== "firing"} />
      <p class="alert-title" title={ruleName}>
        <Link to={`/alerts/${encodeURIComponent(alert.id)}`}>{ruleName}</Link>
      </p>
      <time class="alert-since" dateTime={exact(sinceMs)} title={exact(sinceMs)}>
        {sinceWords(alert, serverNowMs.value)}
      </time>
      <p class="alert-detail">
        <span class="status" data-status={level}>
          {level}
        </span>
        {status === "firing" ? "" : `, ${status}`} · {detail(alert)}
      </p>
      {children}
    </li>
  );
}

function sinceWords({ status, sinceMs }: AlertView, nowMs: number): string {
  const length = duration(nowMs - sinceMs);
  return status === "resolved" ? `${length} ago` : `for ${length}`;
}

function detail({ group, values, isNoData }: AlertView): string {
  const parts = [...Object.entries(group), ...Object.entries(values)];
  const words = parts.map(([name, value]) => `${name} ${label(value)}`).join(" · ") || "no group";
  return isNoData ? `no data · ${words}` : words;
}
