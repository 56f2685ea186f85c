import type { ComponentChildren } from "preact";

interface TileProps {
  readonly name: string;
  /** Null while it is not known yet. */
  readonly value: string | null;
  readonly unit?: string;
  /** The exact value, as a tooltip. */
  readonly exact?: string | undefined;
  /** Stable name for tests and links. */
  readonly stat: string;
  readonly children?: ComponentChildren;
}

/** One number of the first row: name, number, and what puts it into perspective. */
export function Tile({ name, value, unit, exact, stat, children }: TileProps) {
  return (
    <section class="tile">
      <h2 class="tile-name">{name}</h2>
      <p class="tile-value" title={exact}>
        {value === null ? (
          <span class="skeleton skeleton-number" />
        ) : (
          <>
            <span data-stat={stat}>{value}</span>
            {unit !== undefined && <span class="tile-unit">{unit}</span>}
          </>
        )}
      </p>
      <div class="tile-foot">{value === null ? null : children}</div>
    </section>
  );
}
