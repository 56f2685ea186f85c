/**
 * Calls `onHide` whenever the page is hidden or left: it may never run again after that. Does nothing outside a page.
 * @returns stops listening
 */
export function watchPage(onHide: () => void): () => void {
  if (typeof document === "undefined" || typeof addEventListener === "undefined") return () => undefined;
  const onChange = (): void => {
    if (document.visibilityState === "hidden") onHide();
  };
  document.addEventListener("visibilitychange", onChange);
  // Leaving a visible page fires only this one in some browsers.
  addEventListener("pagehide", onHide);
  return () => {
    document.removeEventListener("visibilitychange", onChange);
    removeEventListener("pagehide", onHide);
  };
}
