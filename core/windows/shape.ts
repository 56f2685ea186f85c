import { CALENDAR_UNITS, CalendarFrame, type CalendarUnit } from "./calendar.ts";
import type { WindowDefinition } from "./definition.ts";
import { durationMs } from "./duration.ts";
import { FixedFrame, type Frame } from "./frame.ts";

/** What kind of windows an aggregation has. Lengths are ms. */
export type WindowShape =
  | { readonly type: "tumbling"; readonly sizeMs: number; readonly offsetMs: number }
  | { readonly type: "calendar"; readonly unit: CalendarUnit; readonly timezone: string }
  /** `offsetMs` is less than the slide; `sliceMs` divides size and slide. */
  | {
      readonly type: "hopping";
      readonly sizeMs: number;
      readonly slideMs: number;
      readonly offsetMs: number;
      readonly sliceMs: number;
    }
  | { readonly type: "session"; readonly gapMs: number };

/** @throws RangeError when the definition was not valid */
export function shapeOf(window: WindowDefinition): WindowShape {
  switch (window.type) {
    case "tumbling": {
      const unit = CALENDAR_UNITS.find((name) => name === window.size);
      if (window.timezone !== undefined && unit !== undefined)
        return { type: "calendar", unit, timezone: window.timezone };
      const sizeMs = durationMs(window.size);
      return { type: "tumbling", sizeMs, offsetMs: durationMs(window.offset ?? "0s") % sizeMs };
    }
    case "hopping": {
      const [sizeMs, slideMs] = [durationMs(window.size), durationMs(window.slide)];
      const offsetMs = durationMs(window.offset ?? "0s") % slideMs;
      return { type: "hopping", sizeMs, slideMs, offsetMs, sliceMs: greatestCommonDivisor(sizeMs, slideMs) };
    }
    case "session":
      return { type: "session", gapMs: durationMs(window.gap) };
  }
}

/** The stretches that tumbling windows are. */
export function frameOf(shape: Extract<WindowShape, { type: "tumbling" | "calendar" }>): Frame {
  return shape.type === "calendar"
    ? new CalendarFrame(shape.unit, shape.timezone)
    : new FixedFrame(shape.sizeMs, shape.offsetMs);
}

/** The stretches that states are kept by: windows, or slices of hopping ones; null for sessions. */
export function binsOf(shape: WindowShape): Frame | null {
  switch (shape.type) {
    case "tumbling":
    case "calendar":
      return frameOf(shape);
    case "hopping":
      return new FixedFrame(shape.sliceMs, shape.offsetMs % shape.sliceMs);
    case "session":
      return null;
  }
}

/** No window that ends after `watermark` holds an event from before this. */
export function earliestOfOpen(shape: WindowShape, watermark: number): number {
  switch (shape.type) {
    case "tumbling":
    case "calendar":
      return frameOf(shape).startOf(watermark);
    case "hopping":
      return new FixedFrame(shape.slideMs, shape.offsetMs).startOf(watermark - shape.sizeMs) + shape.slideMs;
    case "session":
      return watermark - shape.gapMs;
  }
}

export function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** What steps of a range query are made of: whole multiples of some ms, or calendar units of a zone no shorter than the windows. */
export type StepUnit =
  | { readonly everyMs: number }
  | { readonly units: readonly CalendarUnit[]; readonly timezone: string };

/** Windows of tumbling sizes and slices must not be cut; sessions lie in the step in which they start. */
export function stepUnitOf(shape: WindowShape): StepUnit {
  switch (shape.type) {
    case "tumbling":
      return { everyMs: shape.sizeMs };
    case "hopping":
      return { everyMs: shape.sliceMs };
    case "session":
      return { everyMs: 1000 };
    case "calendar": {
      // Weeks and months share no limits, so a step of months holds the weeks that start in it.
      return { units: CALENDAR_UNITS.slice(CALENDAR_UNITS.indexOf(shape.unit)), timezone: shape.timezone };
    }
  }
}
