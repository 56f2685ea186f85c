import { useState } from "preact/hooks";
import { counted } from "../format/number.ts";
import { AlertItem } from "../parts/alert-list.tsx";
import { Empty } from "../parts/empty.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { ApiFailure } from "../session/api.ts";
import { ask, mayEdit } from "../session/session.ts";
import type { AlertView } from "../stores/alert-view.ts";
import { alertViews } from "../stores/alerts.ts";

/** The order in which alerts want attention. */
const GROUPS = [
  { status: "firing", title: "Firing" },
  { status: "acknowledged", title: "Acknowledged" },
  { status: "pending", title: "Pending" },
  { status: "resolved", title: "Resolved lately" },
] as const;

/** What needs me now? */
export function Alerts() {
  const alerts = alertViews.value;
  if (alerts === null) {
    return (
      <Panel title="Firing" place="">
        <SkeletonRows count={5} />
      </Panel>
    );
  }
  const groups = GROUPS.map((group) => ({ ...group, alerts: alerts.filter(({ status }) => status === group.status) }));
  return (
    <div class="stack">
      {groups.map((group) =>
        group.alerts.length === 0 && group.status !== "firing" ? null : <Group key={group.status} {...group} />,
      )}
    </div>
  );
}

function Group({ status, title, alerts }: (typeof GROUPS)[number] & { readonly alerts: readonly AlertView[] }) {
  return (
    <Panel title={title} place="" {...(alerts.length > 0 ? { note: counted(alerts.length, "alert") } : {})}>
      {alerts.length === 0 ? (
        <div class="alerts-none">
          <Empty why="Nothing is firing.">
            <p class="note">
              Rules watch the windows of an aggregation: create one with <code>POST /api/v1/rules</code>.
            </p>
          </Empty>
        </div>
      ) : (
        <ul class="alerts">
          {alerts.map((alert) => (
            <AlertItem key={alert.id} alert={alert}>
              {(status === "firing" || status === "acknowledged") && mayEdit.value && <Actions alert={alert} />}
            </AlertItem>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Actions({ alert }: { alert: AlertView }) {
  const [message, setMessage] = useState("");
  const act = async (action: "acknowledge" | "resolve"): Promise<void> => {
    setMessage("");
    try {
      await ask({
        method: "POST",
        path: `/api/v1/alerts/${encodeURIComponent(alert.id)}/${action}`,
        body: { by: "dashboard" },
      });
    } catch (failure) {
      setMessage(failure instanceof ApiFailure ? failure.message : "That did not work.");
    }
  };
  return (
    <div class="alert-actions">
      <span role="status" class="note">
        {message}
      </span>
      {alert.status === "firing" && (
        <button type="button" class="button" onClick={() => void act("acknowledge")}>
          Acknowledge
          <span class="visually-hidden"> {alert.ruleName}</span>
        </button>
      )}
      <button type="button" class="button" onClick={() => void act("resolve")}>
        Resolve
        <span class="visually-hidden"> {alert.ruleName}</span>
      </button>
    </div>
  );
}
