import { CalendarFrame } from "./calendar.ts";
import { parseDuration } from "./duration.ts";
import { FixedFrame } from "./frame.ts";
import type { WindowShape } from "./shape.ts";

/** From one window's end to the next one's in ms; null where that differs. */
export function stepOf(shape: WindowShape): number | null {
  if (shape.type === "tumbling") return shape.sizeMs;
  return shape.type === "hopping" ? shape.slideMs : null;
}

/**
 * The window that a rule means by `previous` (the one that ended just before) or `at:7d` (the one so much earlier).
 * Of calendars that is the day, week or month that holds the middle of this one, moved back: so a change of the clock by an
 * hour does not lead to the neighbour. Of hopping windows it is the last one to begin by then.
 * @returns null for sessions, which have no such window, and for other names
 */
export function earlierWindow(
  shape: WindowShape,
  { start, end }: { start: number; end: number },
  name: string,
): number | null {
  if (shape.type === "session") return null;
  const backMs = name.startsWith("at:") ? parseDuration(name.slice(3)) : null;
  if (name !== "previous" && backMs === null) return null;
  if (shape.type === "calendar") {
    const at = backMs === null ? start - 1 : (start + end) / 2 - backMs;
    return new CalendarFrame(shape.unit, shape.timezone).startOf(at);
  }
  const stepMs = shape.type === "hopping" ? shape.slideMs : shape.sizeMs;
  return new FixedFrame(stepMs, shape.offsetMs).startOf(backMs === null ? start - 1 : start - backMs);
}
