/** The only module that knows uPlot, so that replacing it stays a change of one file. Load it with `import()` after `guardLocale()`. */
import uPlot from "uplot";
import { compact } from "../format/number.ts";
import { clockMinute } from "../format/time.ts";
import { cssColour } from "./css-colour.ts";

/** A series and its colour. */
export interface PlotSeries {
  readonly name: string;
  /** CSS custom property that holds the colour. */
  readonly colour: string;
}

/** A chart on the page. */
export interface Plot {
  /** `edges[i]` is the upper edge of series i; the area down to the edge below it is filled. */
  update(atSeconds: readonly number[], edges: readonly (readonly number[])[]): void;
  /** Put the cursor on a point, or take it away. */
  point(index: number | null): void;
  destroy(): void;
}

interface PlotOptions {
  readonly element: HTMLElement;
  readonly height: number;
  readonly series: readonly PlotSeries[];
  /** Called when the pointer moves onto another point, or away. */
  readonly onPoint: (index: number | null) => void;
}

const FONT = "12px system-ui, sans-serif";
const FILL_ALPHA = 0.42;
/** So that a handful of events does not fill the whole height. */
const LEAST_TOP = 4;

/** Draw stacked areas over time and keep them as wide as their element. */
export function createPlot(options: PlotOptions): Plot {
  const { element, height } = options;
  const chart = new uPlot(uplotOptions(options), emptyData(options.series.length), element);
  const observer = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height }));
  observer.observe(element);
  return {
    update: (at, edges) => chart.setData([[...at], ...edges.map((edge) => [...edge])]),
    point: (index) => {
      const at = index === null ? undefined : chart.data[0]?.[index];
      chart.setCursor(
        { left: at === undefined ? -10 : chart.valToPos(at, "x"), top: at === undefined ? -10 : 0 },
        false,
      );
    },
    destroy: () => {
      observer.disconnect();
      chart.destroy();
    },
  };
}

function uplotOptions({ element, height, series, onPoint }: PlotOptions): uPlot.Options {
  return {
    width: element.clientWidth,
    height,
    padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, most) => [0, Math.max(LEAST_TOP, Math.ceil(most * 1.1))] } },
    axes: [timeAxis(), countAxis()],
    series: [{}, ...series.map(({ colour }) => areaOf(cssColour(element, colour)))],
    bands: series.slice(1).map((_, i) => ({ series: [i + 2, i + 1] })),
    hooks: { setCursor: [(chart) => onPoint(chart.cursor.idx ?? null)] },
  };

  function timeAxis(): uPlot.Axis {
    return {
      stroke: cssColour(element, "--faint"),
      font: FONT,
      grid: { show: false },
      ticks: { stroke: cssColour(element, "--line"), width: 1, size: 4 },
      size: 30,
      space: 44,
      incrs: [60, 120, 300],
      values: (_, splits) => splits.map((at) => clockMinute(at * 1_000)),
    };
  }

  function countAxis(): uPlot.Axis {
    return {
      stroke: cssColour(element, "--faint"),
      font: FONT,
      grid: { stroke: cssColour(element, "--line"), width: 1 },
      ticks: { show: false },
      size: 48,
      space: 28,
      incrs: [
        1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1e3, 2e3, 2.5e3, 5e3, 1e4, 2e4, 2.5e4, 5e4, 1e5, 2e5, 5e5, 1e6,
      ],
      values: (_, splits) => splits.map((count) => compact(count)),
    };
  }
}

function areaOf(colour: string): uPlot.Series {
  return {
    stroke: colour,
    width: 1.25,
    fill: colour.replace(/^rgb\((.+)\)$/, `rgba($1, ${FILL_ALPHA})`),
    points: { show: false },
  };
}

function emptyData(series: number): uPlot.AlignedData {
  return [[], ...Array.from({ length: series }, () => [])];
}
