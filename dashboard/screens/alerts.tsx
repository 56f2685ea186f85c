import { useState } from "preact/hooks";
import { LEVELS } from "../../core/alerts/level.ts";
import { counted, full } from "../format/number.ts";
import { fields, number } from "../live/decode.ts";
import { AlertActions } from "../parts/alert-actions.tsx";
import { AlertItem } from "../parts/alert-list.tsx";
import { Empty } from "../parts/empty.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { useApi } from "../parts/use-api.ts";
import { Link, path, query, setFilter } from "../router.tsx";
import { failureOf } from "../session/api.ts";
import { ask } from "../session/session.ts";
import { decodeAlertPage } from "../stores/alert-file.ts";
import type { AlertView } from "../stores/alert-view.ts";
import { alertViews, isCrowded } from "../stores/alerts.ts";
import { AlertDetail } from "./alert-detail.tsx";
import { Silences } from "./silences.tsx";

/** The order in which alerts want attention. */
const GROUPS = [
  { status: "firing", title: "Firing" },
  { status: "acknowledged", title: "Acknowledged" },
  { status: "pending", title: "Pending" },
  { status: "suppressed", title: "Suppressed" },
  { status: "resolved", title: "Resolved lately" },
] as const;
const CROWD_REFRESH_MS = 10_000;
const PREFIX = "/alerts/";

/** What needs me now? With an id in the path: why that one fired and who was told. */
export function Alerts() {
  const id = path.value.startsWith(PREFIX) ? decodeURIComponent(path.value.slice(PREFIX.length)) : "";
  return id === "" ? <AlertOverview /> : <AlertDetail key={id} id={id} />;
}

function AlertOverview() {
  const alerts = alertViews.value;
  if (alerts === null) {
    return (
      <Panel title="Firing">
        <SkeletonRows count={5} />
      </Panel>
    );
  }
  const wanted = alerts.filter(isWanted);
  const status = query.value.get("status");
  const groups = GROUPS.filter((group) => status === null || group.status === status).map((group) => ({
    ...group,
    alerts: wanted.filter((alert) => alert.status === group.status),
  }));
  return (
    <div class="stack">
      <Filters />
      {isCrowded.value && <Crowd />}
      {groups.map((group) =>
        group.alerts.length === 0 && group.status !== (status ?? "firing") ? null : (
          <Group key={group.status} {...group} />
        ),
      )}
      {(status === null || status === "resolved") && <Earlier />}
      <Silences />
    </div>
  );
}

/** Not all open alerts are here: how many there are in truth. */
function Crowd() {
  const { data } = useApi("/api/v1/alerts/stats", decodeOpen, CROWD_REFRESH_MS);
  return (
    <p class="note" role="status">
      {data === null ? "There are more alerts than are shown" : `${full(data)} alerts are open`}: these are the most
      urgent.
    </p>
  );
}

/** How many alerts have not ended, by `GET /api/v1/alerts/stats`. */
function decodeOpen(data: unknown): number {
  const counts = Object.entries(fields(fields(data)?.["by_status"]) ?? {});
  return counts.reduce((sum, [status, count]) => (status === "resolved" ? sum : sum + number(count)), 0);
}

function isWanted({ level, ruleName, message }: AlertView): boolean {
  const wantedLevel = query.value.get("level");
  const words = (query.value.get("q") ?? "").toLowerCase();
  return (wantedLevel === null || wantedLevel === level) && `${ruleName} ${message}`.toLowerCase().includes(words);
}

const choose = (name: string) => (event: { readonly currentTarget: { readonly value: string } }) =>
  setFilter(name, event.currentTarget.value);

/** Kept in the address, so that a link shows the same alerts. */
function Filters() {
  return (
    <form class="filters" role="search" aria-label="Filter alerts" onSubmit={(event) => event.preventDefault()}>
      <label>
        Status{" "}
        <select value={query.value.get("status") ?? ""} onChange={choose("status")}>
          <option value="">every status</option>
          {GROUPS.map(({ status }) => (
            <option key={status}>{status}</option>
          ))}
        </select>
      </label>
      <label>
        Level{" "}
        <select value={query.value.get("level") ?? ""} onChange={choose("level")}>
          <option value="">every level</option>
          {LEVELS.toReversed().map((level) => (
            <option key={level}>{level}</option>
          ))}
        </select>
      </label>
      <label>
        Containing <input type="search" value={query.value.get("q") ?? ""} onInput={choose("q")} />
      </label>
    </form>
  );
}

function Group({ status, title, alerts }: (typeof GROUPS)[number] & { readonly alerts: readonly AlertView[] }) {
  return (
    <Panel title={title} {...(alerts.length > 0 ? { note: counted(alerts.length, "alert") } : {})}>
      {alerts.length === 0 ? (
        <div class="alerts-none">
          <Empty why={status === "firing" ? "Nothing is firing." : "None."}>
            {status === "firing" && (
              <p class="note">
                <Link to="/rules">Rules</Link> watch the windows of an aggregation.
              </p>
            )}
          </Empty>
        </div>
      ) : (
        <AlertRows alerts={alerts} />
      )}
    </Panel>
  );
}

function AlertRows({ alerts }: { alerts: readonly AlertView[] }) {
  return (
    <ul class="alerts">
      {alerts.map((alert) => (
        <AlertItem key={alert.id} alert={alert}>
          <AlertActions alert={alert} />
        </AlertItem>
      ))}
    </ul>
  );
}

/** Resolved alerts of any age, a page at a time. */
function Earlier() {
  const [pages, setPages] = useState<readonly AlertView[]>([]);
  const [next, setNext] = useState<string | null>("");
  const [message, setMessage] = useState("");
  const more = async (): Promise<void> => {
    try {
      const cursor = next === null || next === "" ? "" : `&cursor=${encodeURIComponent(next)}`;
      const page = decodeAlertPage(
        await ask({ method: "GET", path: `/api/v1/alerts?status=resolved&limit=50${cursor}` }),
      );
      setPages([...pages, ...page.alerts]);
      setNext(page.next);
      setMessage(page.alerts.length === 0 ? "No alert has ended yet." : "");
    } catch (thrown) {
      setMessage(failureOf(thrown).message);
    }
  };
  return (
    <Panel title="Every resolved alert">
      <AlertRows alerts={pages.filter(isWanted)} />
      <div class="form-foot">
        <span role="status" class="note">
          {message}
        </span>
        {next !== null && (
          <button type="button" class="button" onClick={() => void more()}>
            {pages.length === 0 ? "Show" : "Older"}
          </button>
        )}
      </div>
    </Panel>
  );
}
