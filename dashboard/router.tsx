import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";

/** Path of the page shown. Paths of the API (`/events`, `/metrics` …) never reach this page, so screens must not use them. */
export const path = signal(window.location.pathname);

/** Follow the browser's back and forward. Call once. */
export function startRouter(): void {
  window.addEventListener("popstate", () => {
    path.value = window.location.pathname;
  });
}

function go(to: string): void {
  if (to === path.value) return;
  window.history.pushState(null, "", to);
  path.value = to;
  window.scrollTo(0, 0);
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
