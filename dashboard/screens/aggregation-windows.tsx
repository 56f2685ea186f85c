import { useEffect } from "preact/hooks";
import type { JsonValue } from "../../core/events/event.ts";
import type { WindowJson } from "../../core/live/protocol.ts";
import { windowKey } from "../../core/live/topics.ts";
import { counted, full } from "../format/number.ts";
import { clock, moment } from "../format/time.ts";
import { label } from "../format/value.ts";
import { serverNowMs } from "../live/clock.ts";
import { tell } from "../live/feed.ts";
import { Empty } from "../parts/empty.tsx";
import { ListTable, numbers } from "../parts/list-table.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import type { AggregationInfo } from "../stores/aggregation-info.ts";
import { followedWindows, followWindows } from "../stores/aggregation-windows.ts";

/** The windows of one aggregation as they are counted: open ones change under the reader, revised ones say so. */
export function AggregationWindows({ aggregation }: { aggregation: AggregationInfo }) {
  const topic = `aggregation:${aggregation.name}`;
  useEffect(() => {
    followWindows(topic);
    tell({ type: "subscribe", topic });
    return () => tell({ type: "unsubscribe", topic });
  }, [topic]);
  const windows = followedWindows.value?.windows.toReversed() ?? null;
  const note = windows === null ? "" : `${counted(windows.length, "row")}, newest first`;
  return (
    <Panel title={aggregation.name} note={note}>
      {aggregation.filter !== "" && (
        <p class="note">
          only <code>{aggregation.filter}</code>
        </p>
      )}
      {windows === null && <SkeletonRows count={8} />}
      {windows?.length === 0 && <Empty why="No window yet: none of the events so far belongs to this aggregation." />}
      {windows !== null && windows.length > 0 && <WindowTable windows={windows} aggregation={aggregation} />}
    </Panel>
  );
}

function WindowTable({ windows, aggregation }: { windows: readonly WindowJson[]; aggregation: AggregationInfo }) {
  const measures = Object.keys(windows[0]?.values ?? {});
  return (
    <ListTable
      label={`Windows of ${aggregation.name}`}
      boxClass="window-table"
      columns={["Window", "Status", ...aggregation.groupBy, ...numbers(...measures)]}
    >
      {windows.map((window) => (
        <tr key={windowKey(window)}>
          <th scope="row">
            {moment(Date.parse(window.start), serverNowMs.peek())} – {clock(Date.parse(window.end))}
          </th>
          <td>{statusText(window)}</td>
          {aggregation.groupBy.map((path) => (
            <td key={path}>{label(window.group[path])}</td>
          ))}
          {measures.map((measure) => (
            <td key={measure} class="number">
              {valueText(window.values[measure])}
            </td>
          ))}
        </tr>
      ))}
    </ListTable>
  );
}

function statusText({ status, revision, partial }: WindowJson): string {
  const revised = revision > 0 ? `, revised ${revision}×` : "";
  return `${status}${partial ? ", still filling" : ""}${revised}`;
}

function valueText(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return "–";
  return typeof value === "number" ? full(Math.round(value * 1_000) / 1_000) : label(value);
}
