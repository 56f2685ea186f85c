import { useEffect } from "preact/hooks";
import { moment } from "../format/time.ts";
import { serverNowMs } from "../live/clock.ts";
import { Empty } from "../parts/empty.tsx";
import { Failure } from "../parts/failure.tsx";
import { ListTable, numbers } from "../parts/list-table.tsx";
import { Panel } from "../parts/panel.tsx";
import { SkeletonRows } from "../parts/skeleton.tsx";
import { useApi } from "../parts/use-api.ts";
import { Link, path } from "../router.tsx";
import { mayEdit } from "../session/session.ts";
import { channelNames, loadChannels } from "../stores/channels.ts";
import { decodeRules, type RuleView } from "../stores/rules.ts";
import { RuleEditor } from "./rule-editor.tsx";

const REFRESH_MS = 10_000;
const PREFIX = "/rules/";
/** What stands in the path instead of an id. */
const NEW = "new";

/** What is being watched? With an id in the path: that rule, to look at and to change. */
export function Rules() {
  const { data, failure, again } = useApi("/api/v1/rules", decodeRules, REFRESH_MS);
  useEffect(() => void loadChannels().catch(() => undefined), []);
  const id = path.value.startsWith(PREFIX) ? decodeURIComponent(path.value.slice(PREFIX.length)) : "";
  const chosen = data?.find((rule) => rule.id === id) ?? null;
  if (id === NEW) return <RuleEditor key={NEW} rule={null} onChanged={again} />;
  return (
    <div class="stack">
      {failure !== null && <Failure failure={failure} onRetry={again} />}
      {chosen !== null && <RuleEditor key={chosen.id} rule={chosen} onChanged={again} />}
      {id !== "" && data !== null && chosen === null && <p class="note">There is no such rule any more.</p>}
      <Panel title="Rules" actions={mayEdit.value && <NewRule />}>
        {data === null ? <SkeletonRows count={3} /> : <List rules={data} chosen={id} />}
      </Panel>
    </div>
  );
}

function NewRule() {
  return (
    <Link to="/rules/new" class="button button-main">
      New rule
    </Link>
  );
}

function List({ rules, chosen }: { rules: readonly RuleView[]; chosen: string }) {
  if (rules.length === 0) {
    return (
      <Empty why="No rules yet.">
        <p class="note">A rule looks at each window of an aggregation and tells somebody when its condition holds.</p>
      </Empty>
    );
  }
  return (
    <ListTable
      label="Rules"
      columns={["Name", "Level", "Condition", "Aggregation", "Tells", ...numbers("Open alerts"), "Evaluated until"]}
    >
      {rules.map((rule) => (
        <Row key={rule.id} rule={rule} isChosen={rule.id === chosen} />
      ))}
    </ListTable>
  );
}

function Row({ rule, isChosen }: { rule: RuleView; isChosen: boolean }) {
  const told = rule.channels.map((id) => channelNames.value.get(id) ?? id).join(", ");
  const until = rule.evaluatedThroughMs;
  return (
    <tr class={isChosen ? "chosen" : ""}>
      <th scope="row">
        <Link to={`/rules/${encodeURIComponent(rule.id)}`} current={isChosen}>
          {rule.name}
        </Link>
        {!rule.isEnabled && <span class="note"> disabled</span>}
      </th>
      <td>{rule.level}</td>
      <td class="wide">
        <code>{rule.condition}</code>
        {rule.threshold !== null && <span class="note"> threshold {rule.threshold}</span>}
        {rule.lastError !== "" && <span class="problem"> {rule.lastError}</span>}
      </td>
      <td>
        <Link to={`/aggregations/${encodeURIComponent(rule.aggregation)}`}>{rule.aggregation}</Link>
      </td>
      <td>{told || "nobody"}</td>
      <td class="number">{rule.openAlerts}</td>
      <td>{until === null ? "–" : moment(until, serverNowMs.value)}</td>
    </tr>
  );
}
