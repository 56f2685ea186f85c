import { useComputed, useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import { rate } from "../format/number.ts";
import { clock } from "../format/time.ts";
import { theme } from "../theme.ts";
import { ChartLegend } from "./legend.tsx";
import { guardLocale } from "./locale-guard.ts";
import type { Plot } from "./plot.ts";
import { upperEdges, type Stack } from "./stack.ts";

interface TimeSeriesProps {
  readonly stack: ReadonlySignal<Stack>;
  readonly height: number;
  /** What the lines are, for those who cannot see them. */
  readonly name: string;
}

const SPEAK_AFTER_MS = 300;

/** Stacked areas over time. Arrow keys move a cursor whose values are spoken; the legend shows them to everybody. */
export function TimeSeries({ stack, height, name }: TimeSeriesProps) {
  const element = useRef<HTMLDivElement>(null);
  const index = useSignal<number | null>(null);
  const spoken = useSignal("");
  const failed = useSignal(false);
  const plot = usePlot({ stack, height, element, failed, onPoint: (at) => (index.value = at) });
  const hint = useId();
  const description = useComputed(() => describe(name, stack.value));

  const move = (event: KeyboardEvent): void => {
    const target = nextIndex(event, index.value, stack.value.at.length);
    if (target === undefined) return;
    event.preventDefault();
    index.value = target;
    plot.current?.point(target);
    speakLater(spoken, target === null ? "" : pointText(stack.value, target));
  };

  return (
    <div class="chart">
      <div
        ref={element}
        class="chart-canvas"
        role="figure"
        tabIndex={0}
        aria-label={description.value}
        aria-describedby={hint}
        onKeyDown={move}
        style={{ "--chart-height": `${height}px` }}
      />
      {failed.value && <p class="note">The chart could not be fetched. Reload the page, or read the table.</p>}
      <p id={hint} class="visually-hidden">
        Left and right arrow keys read single seconds.
      </p>
      <p class="visually-hidden" aria-live="polite">
        {spoken}
      </p>
      <ChartLegend stack={stack} index={index} />
    </div>
  );
}

interface PlotInput {
  readonly stack: ReadonlySignal<Stack>;
  readonly height: number;
  readonly element: { readonly current: HTMLElement | null };
  /** Set when the chart's code could not be fetched, as after a new version was deployed. */
  readonly failed: Signal<boolean>;
  readonly onPoint: (index: number | null) => void;
}

/** A plot in the element, rebuilt when its series or the theme change, and fed whenever the data do. */
function usePlot({ stack, height, element, failed, onPoint }: PlotInput): { readonly current: Plot | null } {
  const plot = useRef<Plot | null>(null);
  const names = useComputed(() => JSON.stringify(stack.value.series.map(({ name, slot }) => [name, slot]))).value;
  const shade = theme.value;

  useEffect(() => {
    let gone = false;
    const build = async (): Promise<void> => {
      guardLocale();
      const { createPlot } = await import("./plot.ts");
      if (gone || element.current === null) return;
      const series = stack.peek().series.map(({ name, slot }) => ({ name, colour: slotColour(slot) }));
      plot.current = createPlot({ element: element.current, height, series, onPoint });
      plot.current.update(stack.peek().at, upperEdges(stack.peek()));
    };
    build().catch(() => (failed.value = true));
    return () => {
      gone = true;
      plot.current?.destroy();
      plot.current = null;
    };
  }, [names, shade, height]);

  useEffect(
    () =>
      stack.subscribe((now) => {
        // While a rebuild for other series is pending, the old plot must not be fed with them.
        if (JSON.stringify(now.series.map(({ name, slot }) => [name, slot])) !== names) return;
        plot.current?.update(now.at, upperEdges(now));
      }),
    [names],
  );
  return plot;
}

/** The custom property of a colour slot; slot 0 is "other". */
export function slotColour(slot: number): string {
  return slot === 0 ? "--faint" : `--series-${slot}`;
}

/** Where a key moves the cursor; null takes it away, undefined means that the key is not ours. */
function nextIndex(event: KeyboardEvent, from: number | null, length: number): number | null | undefined {
  const stride = event.shiftKey ? 10 : 1;
  const at = from ?? length - 1;
  const moves: Record<string, number | null> = {
    ArrowLeft: from === null ? at : Math.max(0, at - stride),
    ArrowRight: Math.min(length - 1, at + stride),
    Home: 0,
    End: length - 1,
    Escape: null,
  };
  if (event.altKey || event.ctrlKey || event.metaKey || length === 0) return undefined;
  return moves[event.key];
}

function describe(name: string, stack: Stack): string {
  const last = stack.totals.at(-1) ?? 0;
  const most = Math.max(0, ...stack.totals);
  const kinds = stack.series.map((series) => `${series.name} ${rate(series.counts.at(-1) ?? 0)}`).join(", ");
  return `${name}, last ${Math.round(stack.at.length / 60)} minutes. Now ${rate(last)}, most ${rate(most)}.${kinds && ` ${kinds}.`}`;
}

function pointText(stack: Stack, index: number): string {
  const kinds = stack.series.map((series) => `${series.name} ${rate(series.counts[index] ?? 0)}`);
  return [clock((stack.at[index] ?? 0) * 1_000), ...(kinds.length === 0 ? ["no events"] : kinds)].join(", ");
}

let speaking: ReturnType<typeof setTimeout> | undefined;

function speakLater(spoken: { value: string }, words: string): void {
  clearTimeout(speaking);
  speaking = setTimeout(() => (spoken.value = words), SPEAK_AFTER_MS);
}
