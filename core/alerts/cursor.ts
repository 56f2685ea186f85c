import type { ClosedWindow } from "../windows/window-json.ts";

/** How far the rules of one aggregation have come: its newest evaluated window. */
export interface Cursor {
  readonly version: number;
  readonly end: number;
  /** -1 when the window was told as empty. */
  readonly revision: number;
  /** Ms from one end to the next: as the windows say, else the length of the newest one that had groups; 0 before there was one. */
  readonly sizeMs: number;
}

/**
 * What a closed window is to rules that have come as far as `cursor`:
 * `next` is evaluated, with absent groups; `revision` of the newest may still open and resolve; `older` only updates what
 * an alert shows; `repeat` is nothing new.
 */
export type Turn = "next" | "revision" | "older" | "repeat";

/** @param cursor null when the aggregation's rules have seen no window yet */
export function turnOf(cursor: Cursor | null, window: ClosedWindow): Turn {
  if (cursor === null || window.end > cursor.end) return "next";
  if (window.end < cursor.end) return "older";
  const isNewer =
    window.version > cursor.version || (window.version === cursor.version && window.revision > cursor.revision);
  return isNewer ? "revision" : "repeat";
}

/**
 * Where the first rule of an aggregation begins: windows that had already closed are older, so that their revisions page
 * nobody. @param watermark epoch ms; windows that end at it or before are closed
 */
export function cursorAt(watermark: number): Cursor {
  return { version: Number.MAX_SAFE_INTEGER, end: watermark, revision: 0, sizeMs: 0 };
}

/** The cursor after `window` was evaluated. */
export function moveCursor(cursor: Cursor | null, window: ClosedWindow): Cursor {
  const length = window.groups.length > 0 ? window.end - window.start : (cursor?.sizeMs ?? 0);
  // A late event may yet make a first revision of a window that was told as empty.
  const revision = window.groups.length > 0 ? window.revision : -1;
  return { version: window.version, end: window.end, revision, sizeMs: window.stepMs ?? length };
}

/** Ends (epoch ms) of the first and the last of some windows. */
export interface Span {
  readonly firstEnd: number;
  readonly lastEnd: number;
}

/** The windows between the cursor and `window` that nobody reported: they had no data. Null when there is none. */
export function skipped(cursor: Cursor | null, window: ClosedWindow): Span | null {
  if (cursor === null || cursor.sizeMs === 0) return null;
  const firstEnd = cursor.end + cursor.sizeMs;
  const isOverlapping = window.stepMs !== undefined && window.groups.length > 0;
  const lastEnd = isOverlapping ? window.end - window.stepMs : window.start;
  return firstEnd <= lastEnd ? { firstEnd, lastEnd } : null;
}

/** The ends that `window` stands for: its own, or those of a run of empty windows. */
export function spanOf(cursor: Cursor | null, window: ClosedWindow): Span {
  const isRun = window.groups.length === 0 && cursor !== null && cursor.sizeMs > 0;
  const firstEnd = isRun ? Math.min(window.end, window.start + cursor.sizeMs) : window.end;
  return { firstEnd, lastEnd: window.end };
}
