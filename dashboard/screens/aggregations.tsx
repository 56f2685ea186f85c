import { full } from "../format/number.ts";
import { moment } from "../format/time.ts";
import { serverNowMs } from "../live/clock.ts";
import { Failure } from "../parts/failure.tsx";
import { ListTable, numbers } from "../parts/list-table.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { useApi } from "../parts/use-api.ts";
import { Link, path } from "../router.tsx";
import { decodeAggregationList, type AggregationInfo } from "../stores/aggregation-info.ts";
import { AggregationWindows } from "./aggregation-windows.tsx";

const REFRESH_MS = 5_000;
const PREFIX = "/aggregations/";

/** What is being counted, and is it right? With a name in the path: the windows of that one. */
export function Aggregations() {
  const { data, failure, again } = useApi("/api/v1/aggregations", decodeAggregationList, REFRESH_MS);
  const name = path.value.startsWith(PREFIX) ? decodeURIComponent(path.value.slice(PREFIX.length)) : null;
  const chosen = data?.find((aggregation) => aggregation.name === name);
  return (
    <div class="stack">
      {failure !== null && <Failure failure={failure} onRetry={again} />}
      {data === null && failure === null && (
        <Panel title="Aggregations">
          <SkeletonRows count={3} />
        </Panel>
      )}
      {data !== null && <List aggregations={data} chosen={name} />}
      {chosen !== undefined && <AggregationWindows key={chosen.name} aggregation={chosen} />}
    </div>
  );
}

function List({ aggregations, chosen }: { aggregations: readonly AggregationInfo[]; chosen: string | null }) {
  return (
    <Panel title="Aggregations" note="choose one to see its windows">
      <ListTable
        label="Aggregations"
        columns={[
          "Name",
          "Window",
          "Grouped by",
          "Measures",
          "Complete until",
          ...numbers("Open", "Late", "Duplicates"),
        ]}
      >
        {aggregations.map((aggregation) => (
          <Row key={aggregation.name} aggregation={aggregation} isChosen={aggregation.name === chosen} />
        ))}
      </ListTable>
    </Panel>
  );
}

function Row({ aggregation, isChosen }: { aggregation: AggregationInfo; isChosen: boolean }) {
  const { name, windowSize, groupBy, measures, watermarkMs, openWindows, lateEvents, duplicateEvents } = aggregation;
  return (
    <tr class={isChosen ? "chosen" : ""} title={aggregation.description}>
      <th scope="row">
        <Link to={`${PREFIX}${encodeURIComponent(name)}`} current={isChosen}>
          {name}
        </Link>
      </th>
      <td>{windowSize}</td>
      <td>{groupBy.join(", ") || "–"}</td>
      <td class="wide">{measures.join(", ")}</td>
      <td>{watermarkMs === null ? "–" : moment(watermarkMs, serverNowMs.peek())}</td>
      <td class="number">{full(openWindows)}</td>
      <td class="number">{full(lateEvents)}</td>
      <td class="number">{full(duplicateEvents)}</td>
    </tr>
  );
}
