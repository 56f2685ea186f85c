import type { ComponentChildren } from "preact";
import type { FacetEntry } from "../../core/live/protocol.ts";
import { full, percent } from "../format/number.ts";
import { label } from "../format/value.ts";
import { Empty } from "./empty.tsx";
import { SkeletonRows } from "./skeleton.tsx";

interface BarListProps {
  /** Null before the first snapshot. */
  readonly entries: readonly FacetEntry[] | null;
  /** What all entries, also those not listed, add up to. */
  readonly whole: number;
  readonly rows: number;
  readonly emptyText: string;
  /** Colour of the bar: a slot of the series, or a status. */
  readonly toneOf?: (entry: FacetEntry) => string;
  readonly markOf?: (entry: FacetEntry) => ComponentChildren;
}

/** The most frequent values, each with a bar as long as its count. */
export function BarList({ entries, whole, rows, emptyText, toneOf, markOf }: BarListProps) {
  if (entries === null) return <SkeletonRows count={rows} />;
  const shown = entries.slice(0, rows);
  const most = Math.max(1, ...shown.map(([, count]) => count));
  return (
    <div class="bars" data-rows={rows}>
      {shown.length === 0 ? (
        <Empty why={emptyText} />
      ) : (
        <ol>
          {shown.map((entry) => {
            const [value, count] = entry;
            const name = label(value);
            return (
              <li key={JSON.stringify(value)} class="bar-row">
                <span
                  class="bar"
                  data-tone={toneOf?.(entry) ?? "accent"}
                  style={{ "--share": count / most }}
                  aria-hidden="true"
                />
                {markOf?.(entry)}
                <span class="bar-name" title={name}>
                  {name}
                </span>
                <span class="bar-count">{full(count)}</span>
                <span class="bar-share" title={`of ${full(whole)} events`}>
                  {percent(count, whole)}
                </span>
              </li>
            );
          })}
        </ol>
      )}
    </div>
  );
}
