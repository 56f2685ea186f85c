/**
 * uPlot 1.6.32 runs `new Intl.NumberFormat(navigator.language)` when it is imported, and some Linux browsers report a
 * language such as `en-US@posix` that Intl refuses: the import throws. Give such a browser a language that Intl knows.
 *
 * @see https://github.com/leeoniya/uPlot/issues/1053
 */
export function guardLocale(): void {
  try {
    Intl.getCanonicalLocales(navigator.language);
  } catch {
    const language = new Intl.NumberFormat().resolvedOptions().locale;
    Object.defineProperty(navigator, "language", { value: language, configurable: true });
  }
}
