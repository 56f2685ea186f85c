const WIDTH = 24;
const REDRAW_MS = 100;

/** A progress line on a terminal. */
export interface Progress {
  /** Draws, at most ten times a second. `part` is 0 to 1, or null when the whole is unknown. */
  show(part: number | null, accepted: number): void;
  /** Writes a line of its own above the bar. */
  note(line: string): void;
  /** Removes the bar. */
  end(): void;
}

/**
 * The bar, written to `output` (standard error, so that standard output stays clean). Without a terminal only notes appear.
 */
export function createProgress(output: NodeJS.WriteStream, startedAt: number, now: () => number): Progress {
  let drawnAt = -Infinity;
  let drawn = false;
  const clear = (): void => {
    if (drawn) output.write("\r\u001B[K");
    drawn = false;
  };
  return {
    show(part, accepted) {
      if (!output.isTTY || now() - drawnAt < REDRAW_MS) return;
      drawnAt = now();
      output.write(`\r\u001B[K${progressLine(part, accepted, (now() - startedAt) / 1000)}`);
      drawn = true;
    },
    note(line) {
      clear();
      output.write(`${line}\n`);
    },
    end: clear,
  };
}

/** `━━━━━━────── 50 %  5,000 events  12,345/s` */
function progressLine(part: number | null, accepted: number, seconds: number): string {
  const rate = seconds > 0 ? `  ${Math.round(accepted / seconds).toLocaleString("en")}/s` : "";
  const events = `${accepted.toLocaleString("en")} events${rate}`;
  if (part === null) return events;
  const full = Math.min(WIDTH, Math.max(0, Math.round(part * WIDTH)));
  return `${"━".repeat(full)}${"─".repeat(WIDTH - full)} ${Math.floor(part * 100)} %  ${events}`;
}
