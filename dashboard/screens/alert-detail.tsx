import { useEffect } from "preact/hooks";
import { counted, full } from "../format/number.ts";
import { duration, exact, moment } from "../format/time.ts";
import { label } from "../format/value.ts";
import { serverNowMs } from "../live/clock.ts";
import { AlertActions } from "../parts/alert-actions.tsx";
import { Fact } from "../parts/fact.tsx";
import { Failure } from "../parts/failure.tsx";
import { ListTable, numbers } from "../parts/list-table.tsx";
import { Mark } from "../parts/mark.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { useApi } from "../parts/use-api.ts";
import { Link } from "../router.tsx";
import { type AlertFile, decodeAlertFile, type HistoryLine, whatWasTold } from "../stores/alert-file.ts";
import { alertViews } from "../stores/alerts.ts";
import { channelNames, loadChannels } from "../stores/channels.ts";

const REFRESH_MS = 10_000;

/** Why did it fire, and who was told? */
export function AlertDetail({ id }: { id: string }) {
  const { data, failure, again } = useApi(`/api/v1/alerts/${encodeURIComponent(id)}`, decodeAlertFile, REFRESH_MS);
  const live = alertViews.value?.find((alert) => alert.id === id);
  const change = JSON.stringify(live ?? null);
  // What comes over the socket says that something changed; the file itself has all of it.
  useEffect(() => again(), [change]);
  useEffect(() => void loadChannels().catch(() => undefined), []);
  return (
    <div class="stack">
      <p>
        <Link to="/alerts">← All alerts</Link>
      </p>
      {failure !== null && <Failure failure={failure} onRetry={again} />}
      {data === null && failure === null && (
        <Panel title="Alert">
          <SkeletonRows count={4} />
        </Panel>
      )}
      {data !== null && <File file={data} />}
    </div>
  );
}

function File({ file }: { file: AlertFile }) {
  const { alert } = file;
  const now = serverNowMs.value;
  return (
    <>
      <Panel title={alert.ruleName} actions={<AlertActions alert={alert} withComment />}>
        <p class="alert-sentence">
          <Mark status={alert.level} outline={alert.status !== "firing"} /> {alert.message || "It has not fired yet."}
        </p>
        <dl class="facts">
          <Fact name="Status">
            {alert.status}
            {file.reason !== "" && ` (${file.reason.replaceAll("_", " ")})`}
          </Fact>
          <Fact name="Level">{alert.level}</Fact>
          {file.startedMs !== null && (
            <Fact name="Since">
              <time dateTime={exact(file.startedMs)}>{moment(file.startedMs, now)}</time>
              {`, ${duration((file.resolvedMs ?? now) - file.startedMs)}`}
            </Fact>
          )}
          {file.windowStartMs !== null && file.windowEndMs !== null && (
            <Fact name="Window">
              {moment(file.windowStartMs, now)} – {moment(file.windowEndMs, now)}
            </Fact>
          )}
          {Object.entries({ ...alert.group, ...alert.values }).map(([name, value]) => (
            <Fact key={name} name={name}>
              {label(value)}
            </Fact>
          ))}
          {alert.acknowledgedBy !== "" && <Fact name="Acknowledged by">{alert.acknowledgedBy}</Fact>}
          {Object.entries({ ...file.labels, ...file.annotations }).map(([name, value]) => (
            <Fact key={`label ${name}`} name={name}>
              {label(value)}
            </Fact>
          ))}
        </dl>
        <p class="note">
          <Link to={`/rules/${encodeURIComponent(alert.ruleId)}`}>Open the rule</Link>
        </p>
      </Panel>
      <History lines={file.history} />
      <Deliveries file={file} />
    </>
  );
}

function History({ lines }: { lines: readonly HistoryLine[] }) {
  const now = serverNowMs.value;
  return (
    <Panel title="What happened">
      <ListTable label="What happened" columns={["When", "What", "By", "Values", "Comment"]}>
        {lines.map((line) => (
          <tr key={`${line.atMs} ${line.kind} ${line.comment}`}>
            <td>
              <time dateTime={exact(line.atMs)} title={exact(line.atMs)}>
                {moment(line.atMs, now)}
              </time>
            </td>
            <td>
              {line.kind}
              {detailsOf(line)}
            </td>
            <td>{line.by || "the rule"}</td>
            <td>{pairs(line.values)}</td>
            <td class="wide">{line.comment}</td>
          </tr>
        ))}
      </ListTable>
    </Panel>
  );
}

function Deliveries({ file: { deliveries: lines, waiting } }: { file: AlertFile }) {
  const now = serverNowMs.value;
  return (
    <Panel title="Who was told" note="every attempt, newest last">
      {lines.length === 0 ? (
        <p class="note">Nobody yet: the rule has no channels, or nothing was due to be sent.</p>
      ) : (
        <ListTable
          label="Who was told"
          columns={["When", "Channel", "What", ...numbers("Attempt"), "Outcome", ...numbers("Took"), "Error"]}
        >
          {lines.map((line) => (
            <tr key={`${line.atMs} ${line.channelId} ${line.messageId} ${line.attempt}`}>
              <td>
                <time dateTime={exact(line.atMs)} title={exact(line.atMs)}>
                  {moment(line.atMs, now)}
                </time>
              </td>
              <td>{channelName(line.channelId)}</td>
              <td>{whatWasTold(line.messageId)}</td>
              <td class="number">{line.attempt}</td>
              <td>
                {line.outcome}
                {line.status !== null && ` (${line.status})`}
              </td>
              <td class="number">{full(Math.round(line.latencyMs))} ms</td>
              <td class="wide">{line.error}</td>
            </tr>
          ))}
        </ListTable>
      )}
      {waiting.map((line) => (
        <p class="note" key={`${line.messageId} ${line.channelId}`}>
          {channelName(line.channelId)} has not been told “{whatWasTold(line.messageId)}” yet:{" "}
          {counted(line.attempts, "attempt")}, the next at {moment(line.nextMs, now)}.
        </p>
      ))}
    </Panel>
  );
}

function channelName(id: string): string {
  return channelNames.value.get(id) ?? id;
}

/** Why it was quiet, or to whom it was escalated: `silence:<id>` and so on, channels by name. */
function detailsOf({ details, reason }: HistoryLine): string {
  const words = details.map((detail) => channelName(detail).replaceAll("_", " "));
  const all = [...(reason === "" ? [] : [reason.replaceAll("_", " ")]), ...words];
  return all.length === 0 ? "" : ` (${all.join(", ")})`;
}

function pairs(values: AlertFile["labels"]): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${label(value)}`)
    .join(" · ");
}
