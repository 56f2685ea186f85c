import { batch, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";

/** Path of the page shown. Paths of the API (`/events`, `/metrics` …) never reach this page, so screens must not use them. */
export const path = signal(window.location.pathname);

/** What the address says behind the question mark: filters live there, so that a link shows what its sender saw. */
export const query = signal<URLSearchParams>(new URLSearchParams(window.location.search));

/** Follow the browser's back and forward. Call once. */
export function startRouter(): void {
  window.addEventListener("popstate", show);
}

/** Show another page of this site. */
export function go(to: string): void {
  if (to === window.location.pathname + window.location.search) return;
  window.history.pushState(null, "", to);
  show();
  window.scrollTo(0, 0);
}

/** Change one filter in the address; an empty one is taken out. It makes no new step for the back button. */
export function setFilter(name: string, value: string): void {
  const next = new URLSearchParams(query.peek());
  if (value === "") next.delete(name);
  else next.set(name, value);
  const text = next.toString();
  window.history.replaceState(null, "", `${window.location.pathname}${text === "" ? "" : `?${text}`}`);
  show();
}

function show(): void {
  batch(() => {
    path.value = window.location.pathname;
    if (query.peek().toString() !== new URLSearchParams(window.location.search).toString())
      query.value = new URLSearchParams(window.location.search);
  });
}

interface LinkProps {
  readonly to: string;
  readonly class?: string;
  readonly current?: boolean;
  readonly children: ComponentChildren;
}

/** A link inside the page; with a modifier key the browser does what it always does. */
export function Link({ to, class: className, current = false, children }: LinkProps) {
  const follow = (event: MouseEvent): void => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} class={className} aria-current={current ? "page" : undefined} onClick={follow}>
      {children}
    </a>
  );
}
