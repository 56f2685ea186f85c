import { compact, counted, full } from "../format/number.ts";
import { ListTable, numbers } from "../parts/list-table.tsx";
import { Panel } from "../parts/panel.tsx";
import { useAction } from "../parts/use-action.ts";
import { useApi } from "../parts/use-api.ts";
import { ask } from "../session/session.ts";
import { decodeSpread, type Spread } from "../stores/shards.ts";

const REFRESH_MS = 2_000;
const CHOICES = ["auto", "1", "2", "4", "8", "16"] as const;

/** Over how many objects this tenant's events are spread; changing it moves slots while events come. */
export function ShardsPanel() {
  const { data, again } = useApi("/api/v1/shards", decodeSpread, REFRESH_MS);
  const { run, isBusy, failure } = useAction();
  if (data === null) return null;
  const choose = async (choice: string): Promise<void> => {
    const body = { count: choice === "auto" ? "auto" : Number(choice) };
    if (await run(() => ask({ method: "PUT", path: "/api/v1/shards", body }))) again();
  };
  const select = (
    <select
      aria-label="Number of shards"
      disabled={isBusy}
      value={data.mode === "auto" ? "auto" : String(data.count)}
      onChange={(event) => void choose(event.currentTarget.value)}
    >
      {CHOICES.map((choice) => (
        <option key={choice} value={choice}>
          {choice === "auto" ? "by itself" : counted(Number(choice), "shard")}
        </option>
      ))}
    </select>
  );
  return (
    <Panel title="Shards" note={words(data)} actions={select}>
      {failure !== null && (
        <p class="problem" role="alert">
          {failure.message}
        </p>
      )}
      <ListTable label="Shards" columns={["Object", ...numbers("Slots of 256", "Events per second", "Overloaded")]}>
        {data.objects.map(({ object, slots, eventsPerSecond, overloads }) => (
          <tr key={object}>
            <th scope="row">{object === 0 ? "home" : object}</th>
            <td class="number">{slots}</td>
            <td class="number">{compact(eventsPerSecond)}</td>
            <td class="number">{full(overloads)}</td>
          </tr>
        ))}
      </ListTable>
    </Panel>
  );
}

function words({ count, mode, isMoving }: Spread): string {
  const how = mode === "auto" ? "grows and shrinks by itself" : "as chosen";
  return `${counted(count, "shard")}, ${isMoving ? "slots are moving" : how}`;
}
