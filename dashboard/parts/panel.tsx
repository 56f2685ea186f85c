import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface PanelProps {
  readonly title: string;
  /** What the numbers cover, e.g. "last hour". */
  readonly note?: string;
  /** Place in the page's grid, if it has one of its own; a class of layout.css. */
  readonly place?: string;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A titled box of the page's grid. */
export function Panel({ title, note, place = "", actions, children }: PanelProps) {
  const heading = useId();
  return (
    <section class={`panel ${place}`} aria-labelledby={heading}>
      <header class="panel-head">
        <h2 id={heading}>{title}</h2>
        {note !== undefined && <span class="note">{note}</span>}
        {actions !== undefined && <div class="panel-actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}
