// Series in the notation of promtool's rule tests, so that what people know from there works here.
//
// `1 2 3` are values; `1x3` is a value and three more like it; `1+2x3` is 1 3 5 7; `10-3x2` is 10 7 4; `_` is a window without
// the group, `_x3` are three of them. See https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series

/** Values of one series; a test with more is a mistake. */
export const MAX_SERIES_VALUES = 100_000;

const TOKEN =
  /^(?:_(?:x(?<missing>\d+))?|(?<start>NUMBER)(?:(?<step>[+-]NUMBER))?(?:x(?<times>\d+))?)$/.source.replaceAll(
    "NUMBER",
    "[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?",
  );
const PATTERN = new RegExp(TOKEN);

/** One value per window; null where there is none. */
export type SeriesValues = readonly (number | null)[];

/** Reads a series. @returns what is wrong with it otherwise */
export function parseSeries(text: string): { readonly ok: true; readonly values: SeriesValues } | Problem {
  const values: (number | null)[] = [];
  for (const token of text.split(/\s+/).filter((part) => part !== "")) {
    const groups = PATTERN.exec(token)?.groups;
    if (groups === undefined) return { ok: false, message: `"${token}" is not a value like 5, 5x3, 0+10x5 or _` };
    const { missing, start, step, times } = groups;
    if (step !== undefined && times === undefined) return { ok: false, message: `"${token}" says not how often` };
    const count = start === undefined ? Number(missing ?? 1) : Number(times ?? 0) + 1;
    if (values.length + count > MAX_SERIES_VALUES)
      return { ok: false, message: `has over ${MAX_SERIES_VALUES} values` };
    for (let k = 0; k < count; k++) values.push(start === undefined ? null : Number(start) + k * stepOf(step));
  }
  return { ok: true, values };
}

interface Problem {
  readonly ok: false;
  readonly message: string;
}

/** `+10` and `-3`, and `+-3` and `--3` as people write them when the step is negative. */
function stepOf(step: string | undefined): number {
  if (step === undefined) return 0;
  const size = Number(step.slice(1));
  return step.startsWith("-") ? -size : size;
}
