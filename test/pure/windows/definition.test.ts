import { describe, expect, test } from "vitest";
import { type Definition, definitionSchema, MAX_SLICES_PER_WINDOW } from "../../../core/windows/definition.ts";
import { shapeOf } from "../../../core/windows/shape.ts";

const withWindow = (window: unknown) =>
  definitionSchema.safeParse({ name: "a", window, measures: { n: { fn: "count" } } });
const fieldsOf = (window: unknown): string[] =>
  (withWindow(window).error?.issues ?? []).map(({ path }) => path.join("."));

const hopping = (slices: number) => ({ type: "hopping", size: `${slices * 10}s`, slide: "10s" });

describe("a window", () => {
  test.each<[Definition["window"], unknown]>([
    [
      { type: "tumbling", size: "1h", offset: "90m" },
      { type: "tumbling", sizeMs: 3_600_000, offsetMs: 1_800_000 },
    ],
    [
      { type: "tumbling", size: "1d" },
      { type: "tumbling", sizeMs: 86_400_000, offsetMs: 0 },
    ],
    [
      { type: "tumbling", size: "1mo", timezone: "Europe/Berlin" },
      { type: "calendar", unit: "1mo", timezone: "Europe/Berlin" },
    ],
    [
      { type: "hopping", size: "1h", slide: "25m", offset: "30m" },
      { type: "hopping", sizeMs: 3_600_000, slideMs: 1_500_000, offsetMs: 300_000, sliceMs: 300_000 },
    ],
    [
      { type: "session", gap: "30m" },
      { type: "session", gapMs: 1_800_000 },
    ],
  ])("%j is taken as it is meant", (window, shape) => {
    expect(withWindow(window).success).toBe(true);
    expect(shapeOf(window)).toEqual(shape);
  });

  test.each([
    [{ type: "tumbling", size: "99ms" }, "window.size"],
    [{ type: "tumbling", size: "1w" }, "window.size"],
    [{ type: "tumbling", size: "1mo" }, "window.size"],
    [{ type: "tumbling", size: "401d" }, "window.size"],
    [{ type: "tumbling", size: "1d", timezone: "Europe/Bärlin" }, "window.timezone"],
    [{ type: "tumbling", size: "1d", timezone: "+01:00" }, "window.timezone"],
    [{ type: "tumbling", size: "1h", timezone: "Europe/Berlin" }, "window.size"],
    [{ type: "tumbling", size: "2d", timezone: "Europe/Berlin" }, "window.size"],
    [{ type: "tumbling", size: "1d", timezone: "UTC", offset: "1h" }, "window.offset"],
    [{ type: "hopping", size: "1h" }, "window.slide"],
    [{ type: "hopping", size: "1h", slide: "0s" }, "window.slide"],
    [{ type: "hopping", size: "1d", slide: "1m" }, "window.slide"],
    [{ type: "session", gap: "10ms" }, "window.gap"],
    [{ type: "session", gap: "1h", size: "1h" }, "window"],
    [{ type: "global" }, "window.type"],
  ])("%j is refused for %s", (window, field) => {
    expect(fieldsOf(window)).toEqual([field]);
  });

  test("may have as many slices as the limit says and not one more", () => {
    expect(fieldsOf(hopping(MAX_SLICES_PER_WINDOW))).toEqual([]);
    expect(fieldsOf(hopping(MAX_SLICES_PER_WINDOW + 1))).toEqual(["window.slide"]);
  });
});
