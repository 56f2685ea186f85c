const compactFormat = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const fullFormat = new Intl.NumberFormat(undefined, { maximumFractionDigits: 20 });
const oneDigitFormat = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const wholeFormat = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });

/** For tiles and axes: `1.2K`. The exact value belongs into a tooltip beside it. */
export function compact(value: number): string {
  return Math.abs(value) < 1_000 ? oneDigitFormat.format(value) : compactFormat.format(value);
}

/** For tables: every digit, grouped. */
export function full(value: number): string {
  return fullFormat.format(value);
}

/** Events per second: one digit after the point below 100, where it tells something. */
export function rate(perSecond: number): string {
  if (perSecond >= 10_000) return compactFormat.format(perSecond);
  return (perSecond < 100 ? oneDigitFormat : wholeFormat).format(perSecond);
}

/** A part of a whole in per cent: one digit after the point below 10, none above; `–` when there is no whole. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return "–";
  const value = (100 * part) / whole;
  if (value > 0 && value < 0.1) return "<0.1%";
  return `${(value < 10 ? oneDigitFormat : wholeFormat).format(value)}%`;
}

/** `1 event`, `2 events`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${full(count)} ${count === 1 ? one : many}`;
}
