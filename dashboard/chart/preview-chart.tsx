import { compact } from "../format/number.ts";
import { exact } from "../format/time.ts";
import type { Preview, PreviewSeries, PreviewSpan } from "../stores/preview.ts";
import { slotColour } from "./time-series.tsx";

const WIDTH = 800;
const HEIGHT = 240;
const LANE = 8;
const MAX_LINES = 7;

/**
 * Values over time with the threshold, and under them a lane per group that shows when its alert would have been open. Drawn
 * once per change as SVG: a preview has few points, and its spans must line up with them. The table beside it says the same.
 */
export function PreviewChart({ preview }: { preview: Preview }) {
  const lines = preview.series.slice(0, MAX_LINES);
  const lanes = [...new Set(preview.spans.map(({ name }) => name))].slice(0, MAX_LINES);
  const top = highest(preview, lines);
  const height = HEIGHT + lanes.length * LANE + (lanes.length > 0 ? LANE : 0);
  const x = (atMs: number): number => ((atMs - preview.fromMs) / Math.max(1, preview.toMs - preview.fromMs)) * WIDTH;
  const y = (value: number): number => HEIGHT - (value / top) * (HEIGHT - 12);
  const slotOf = (name: string): number => lines.findIndex((line) => line.name === name) + 1;
  return (
    <figure class="preview">
      <svg viewBox={`0 0 ${WIDTH} ${height}`} preserveAspectRatio="none" role="img" aria-label={describe(preview)}>
        {lines.map((line, k) => (
          <path
            key={line.name}
            class="preview-line"
            d={pathOf(line, x, y)}
            style={{ stroke: `var(${slotColour(k + 1)})` }}
          />
        ))}
        {preview.threshold !== null && (
          <line class="preview-threshold" x1={0} x2={WIDTH} y1={y(preview.threshold)} y2={y(preview.threshold)} />
        )}
        {preview.spans
          .filter(({ name }) => lanes.includes(name))
          .map((span) => (
            <Span
              key={`${span.name} ${span.state} ${span.fromMs}`}
              span={span}
              x={x}
              y={HEIGHT + LANE * (lanes.indexOf(span.name) + 1)}
              slot={slotOf(span.name)}
            />
          ))}
      </svg>
      <figcaption class="preview-legend">
        <span>
          {exact(preview.fromMs).slice(0, 16).replace("T", " ")} – {exact(preview.toMs).slice(0, 16).replace("T", " ")}{" "}
          UTC, highest {compact(top / 1.1)}
        </span>
        {lines.map((line, k) => (
          <span key={line.name}>
            <span class="dot" data-slot={k + 1} aria-hidden="true" /> {line.name}
          </span>
        ))}
        {preview.series.length > lines.length && <span>and {preview.series.length - lines.length} more groups</span>}
      </figcaption>
    </figure>
  );
}

interface SpanProps {
  readonly span: PreviewSpan;
  readonly x: (atMs: number) => number;
  readonly y: number;
  readonly slot: number;
}

function Span({ span, x, y, slot }: SpanProps) {
  const from = x(span.fromMs);
  return (
    <rect
      class="preview-span"
      data-state={span.state}
      x={from}
      y={y}
      // A short alert must not be too narrow to be seen.
      width={Math.max(3, x(span.toMs) - from)}
      height={LANE - 2}
      style={{ fill: `var(${slotColour(Math.max(0, slot))})` }}
    >
      <title>{`${span.name}: ${span.state} ${exact(span.fromMs)} – ${exact(span.toMs)}`}</title>
    </rect>
  );
}

/** A line with gaps where a window had no value. */
function pathOf({ points }: PreviewSeries, x: (atMs: number) => number, y: (value: number) => number): string {
  let isDrawing = false;
  const steps = points.map(({ atMs, value }) => {
    if (value === null) {
      isDrawing = false;
      return "";
    }
    const step = `${isDrawing ? "L" : "M"}${x(atMs).toFixed(1)} ${y(value).toFixed(1)}`;
    // A lone point is drawn as a short dash.
    const dash = isDrawing ? "" : "h.1";
    isDrawing = true;
    return step + dash;
  });
  return steps.join("");
}

function highest({ threshold }: Preview, lines: readonly PreviewSeries[]): number {
  const values = lines.flatMap(({ points }) => points.map(({ value }) => value ?? 0));
  return Math.max(1, threshold ?? 0, ...values) * 1.1;
}

function describe({ series, fired, threshold }: Preview): string {
  const against = threshold === null ? "" : ` against the threshold ${threshold}`;
  return `Values of ${series.length} groups${against}. The rule would have fired ${fired} times.`;
}
