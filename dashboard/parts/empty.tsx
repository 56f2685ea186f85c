import type { ComponentChildren } from "preact";

/** A region without data: why, and what to do about it. */
export function Empty({ why, children }: { why: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>{why}</p>
      {children}
    </div>
  );
}
