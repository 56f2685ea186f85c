import { AlertList } from "../parts/alert-list.tsx";
import { Empty } from "../parts/empty.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { alertViews, openAlerts } from "../stores/alerts.ts";

const SHOWN = 5;

/** What is firing now, worst first. */
export function AlertsPanel() {
  const open = openAlerts.value;
  const more = open.length - SHOWN;
  return (
    <Panel title="Open alerts" place="place-alerts" {...(more > 0 ? { note: `${SHOWN} of ${open.length}` } : {})}>
      <div class="alerts-box">
        {alertViews.value === null ? (
          <SkeletonRows count={SHOWN} />
        ) : open.length === 0 ? (
          <Empty why="Nothing is firing.">
            <p class="note">Rules watch the windows of an aggregation; what they find shows up here within a second.</p>
          </Empty>
        ) : (
          <AlertList alerts={open.slice(0, SHOWN)} />
        )}
      </div>
    </Panel>
  );
}
