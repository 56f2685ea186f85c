import { useState } from "preact/hooks";
import { SeriesTable } from "../chart/series-table.tsx";
import type { Stack } from "../chart/stack.ts";
import { TimeSeries } from "../chart/time-series.tsx";
import { zoneName } from "../format/time.ts";
import { wallMs } from "../live/clock.ts";
import { Icon } from "../parts/icon.tsx";
import { Panel } from "../parts/panel.tsx";
import { chartStack } from "../stores/overview.ts";

const CHART_HEIGHT = 240;

/** Events per second by type over the last five minutes, as a chart or as a table. */
export function TrafficPanel() {
  const [frozen, setFrozen] = useState<Stack | null>(null);
  const actions = (
    <button
      type="button"
      class="button button-quiet"
      aria-pressed={frozen !== null}
      onClick={() => setFrozen(frozen === null ? chartStack.peek() : null)}
    >
      <Icon name={frozen === null ? "table" : "chart"} />
      {frozen === null ? "Table" : "Chart"}
    </button>
  );
  return (
    <Panel
      title="Events per second"
      note={`by type, last 5 minutes, ${zoneName(wallMs.peek())}`}
      place="place-traffic"
      actions={actions}
    >
      {frozen === null ? (
        <TimeSeries stack={chartStack} height={CHART_HEIGHT} name="Events per second by type" />
      ) : (
        <SeriesTable stack={frozen} height={CHART_HEIGHT} />
      )}
    </Panel>
  );
}
