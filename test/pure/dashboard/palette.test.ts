import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

type Rgb = readonly [number, number, number];
type Matrix = readonly [Rgb, Rgb, Rgb];

const THEMES = ["light", "dark"] as const;

/** Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB. */
const VISIONS: Readonly<Record<string, Matrix>> = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protan: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deutan: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritan: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

const css = readFileSync(new URL("../../../dashboard/styles/tokens.css", import.meta.url), "utf8");

function token(name: string, theme: (typeof THEMES)[number]): Rgb {
  const found = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(css);
  const hex = found?.[theme === "light" ? 1 : 2];
  if (hex === undefined) throw new Error(`tokens.css has no --${name}`);
  const channel = (from: number): number => {
    const value = Number.parseInt(hex.slice(from, from + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return [channel(1), channel(3), channel(5)];
}

function luminance([r, g, b]: Rgb): number {
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG 2 contrast ratio. */
function contrast(a: Rgb, b: Rgb): number {
  const [dark, light] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
  return ((light ?? 0) + 0.05) / ((dark ?? 0) + 0.05);
}

function multiply(matrix: Matrix, [r, g, b]: Rgb): Rgb {
  const row = (m: Rgb): number => m[0] * r + m[1] * g + m[2] * b;
  return [row(matrix[0]), row(matrix[1]), row(matrix[2])];
}

/** Linear sRGB to OKLab, https://bottosson.github.io/posts/oklab/ */
function oklab(rgb: Rgb): Rgb {
  const lms = multiply(
    [
      [0.4122214708, 0.5363325363, 0.0514459929],
      [0.2119034982, 0.6806995451, 0.1073969566],
      [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    rgb,
  );
  return multiply(
    [
      [0.2104542553, 0.793617785, -0.0040720468],
      [1.9779984951, -2.428592205, 0.4505937099],
      [0.0259040371, 0.7827717662, -0.808675766],
    ],
    [Math.cbrt(lms[0]), Math.cbrt(lms[1]), Math.cbrt(lms[2])],
  );
}

function distance(a: Rgb, b: Rgb, vision: Matrix): number {
  const clamp = (rgb: Rgb): Rgb => [Math.max(0, rgb[0]), Math.max(0, rgb[1]), Math.max(0, rgb[2])];
  const [x, y] = [oklab(clamp(multiply(vision, a))), oklab(clamp(multiply(vision, b)))];
  return 100 * Math.hypot(x[0] - y[0], x[1] - y[1], x[2] - y[2]);
}

describe.each(THEMES)("colours, %s", (theme) => {
  const surface = token("surface", theme);
  const series = Array.from({ length: 8 }, (_, i) => token(`series-${i + 1}`, theme));

  test.each(Object.keys(VISIONS))("no two series are nearer than 10 for %s vision", (name) => {
    const vision = VISIONS[name] ?? VISIONS["normal"];
    if (vision === undefined) throw new Error("no such vision");
    for (const [i, a] of series.entries()) {
      for (const b of series.slice(i + 1)) expect(distance(a, b, vision)).toBeGreaterThanOrEqual(9.9);
    }
  });

  test("every series is told from the surface", () => {
    for (const colour of series) expect(contrast(colour, surface)).toBeGreaterThanOrEqual(3);
  });

  test.each(["text", "muted", "faint", "accent", "ok", "info", "warning", "error", "critical"])(
    "%s can be read on the surface",
    (name) => {
      expect(contrast(token(name, theme), surface)).toBeGreaterThanOrEqual(4.5);
    },
  );

  test.each(["text", "muted", "faint"])("%s can be read on what is sunken and on the canvas", (name) => {
    expect(contrast(token(name, theme), token("sunken", theme))).toBeGreaterThanOrEqual(4.5);
    expect(contrast(token(name, theme), token("canvas", theme))).toBeGreaterThanOrEqual(4.5);
  });

  test.each(["ok", "info", "warning", "error", "critical"])("%s can be read on its tint", (name) => {
    expect(contrast(token(name, theme), token(`${name}-tint`, theme))).toBeGreaterThanOrEqual(4.5);
  });

  test("controls and the focus ring are told from what they lie on", () => {
    expect(contrast(token("control", theme), surface)).toBeGreaterThanOrEqual(3);
    expect(contrast(token("focus", theme), token("sunken", theme))).toBeGreaterThanOrEqual(3);
    expect(contrast(token("on-accent", theme), token("accent", theme))).toBeGreaterThanOrEqual(4.5);
  });
});
