import { compact, full } from "../format/number.ts";
import { duration, moment } from "../format/time.ts";
import { serverNowMs } from "../live/clock.ts";
import { Failure } from "../parts/failure.tsx";
import { ListTable, numbers } from "../parts/list-table.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { useApi } from "../parts/use-api.ts";
import { Link } from "../router.tsx";
import { mayAdminister } from "../session/session.ts";
import { FlowPanel } from "./system-flow.tsx";
import { ShardsPanel } from "./system-shards.tsx";
import { type AggregationStanding, decodeStanding, type ShardStanding } from "../stores/standing.ts";

const REFRESH_MS = 2_000;

/** Does the platform keep up, and what holds it? */
export function System() {
  const { data, failure, again } = useApi("/api/v1/introspection", decodeStanding, REFRESH_MS);
  return (
    <div class="stack">
      {failure !== null && <Failure failure={failure} onRetry={again} />}
      <FlowPanel />
      {mayAdminister.value && <ShardsPanel />}
      <Panel title="Objects" note="where this tenant's events are counted">
        {data === null ? <SkeletonRows count={2} /> : <Shards shards={data} />}
      </Panel>
      <Panel title="Watermarks" note="until when each aggregation is complete, and who holds it">
        {data === null ? (
          <SkeletonRows count={4} />
        ) : (
          <Watermarks list={data.flatMap(({ aggregations }) => aggregations)} />
        )}
      </Panel>
    </div>
  );
}

function Shards({ shards }: { shards: readonly ShardStanding[] }) {
  return (
    <ListTable
      label="Objects"
      columns={[
        "Shard",
        ...numbers(
          "Stored",
          "Duplicates",
          "Late, to look up",
          "Unsealed",
          "Log entries",
          "Ids remembered",
          "State",
          "Checkpoint",
        ),
      ]}
    >
      {shards.map((shard) => (
        <tr key={shard.shard}>
          <th scope="row">{shard.shard === 0 ? "home" : shard.shard}</th>
          <td class="number">{full(shard.storedEvents)}</td>
          <td class="number">{full(shard.duplicateEvents)}</td>
          <td class="number">{full(shard.lateInbox)}</td>
          <td class="number">{full(shard.unsealedEvents)}</td>
          <td class="number">{full(shard.logEntries)}</td>
          <td class="number">{full(shard.idsRemembered)}</td>
          <td class="number">{compact(shard.databaseBytes)}B</td>
          <td class="number">{duration(shard.checkpointAgeSeconds * 1_000)} ago</td>
        </tr>
      ))}
    </ListTable>
  );
}

function Watermarks({ list }: { list: readonly AggregationStanding[] }) {
  const now = serverNowMs.value;
  return (
    <ListTable
      label="Watermarks"
      columns={[
        "Aggregation",
        "Complete until",
        "Held by",
        ...numbers("Behind", "Late", "Open windows", "Open groups", "Memory"),
      ]}
    >
      {list.map((one) => (
        <tr key={one.name}>
          <th scope="row">
            <Link to={`/aggregations/${encodeURIComponent(one.name)}`}>{one.name}</Link>
          </th>
          <td>{one.watermarkMs === null ? "–" : moment(one.watermarkMs, now)}</td>
          <td>{one.heldBy || "–"}</td>
          <td class="number">{one.lagSeconds === null ? "–" : duration(one.lagSeconds * 1_000)}</td>
          <td class="number">{full(one.lateEvents)}</td>
          <td class="number">{full(one.openWindows)}</td>
          <td class="number">{full(one.openGroups)}</td>
          <td class="number">{compact(one.bytes)}B</td>
        </tr>
      ))}
    </ListTable>
  );
}
