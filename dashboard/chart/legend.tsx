import type { ReadonlySignal } from "@preact/signals";
import { rate } from "../format/number.ts";
import { clock } from "../format/time.ts";
import type { Stack } from "./stack.ts";

interface ChartLegendProps {
  readonly stack: ReadonlySignal<Stack>;
  /** Point under the cursor; null shows the latest. */
  readonly index: ReadonlySignal<number | null>;
}

/** Colour, name and value of every series, at the cursor or now. */
export function ChartLegend({ stack, index }: ChartLegendProps) {
  const { at, series, totals } = stack.value;
  const point = index.value ?? at.length - 1;
  const when = index.value === null ? "Now" : clock((at[point] ?? 0) * 1_000);
  return (
    <div class="legend">
      <p class="legend-head">
        <span>{when}</span>
        <span>
          total <span class="legend-value">{rate(totals[point] ?? 0)}</span>
        </span>
      </p>
      <ul>
        {series.toReversed().map(({ name, slot, counts }) => (
          <li key={name}>
            <span class="dot" data-slot={slot} aria-hidden="true" />
            <span class="legend-name" title={name}>
              {name}
            </span>
            <span class="legend-value">{rate(counts[point] ?? 0)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
