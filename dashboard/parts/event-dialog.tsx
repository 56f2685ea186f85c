import { useLayoutEffect, useId, useRef } from "preact/hooks";
import type { EventJson } from "../../core/live/protocol.ts";
import { CopyButton } from "./copy-button.tsx";
import { Icon } from "./icon.tsx";

/** One whole event. Escape or a click beside it closes it, and focus returns to where it was opened. */
export function EventDialog({ event, onClose }: { event: EventJson; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const text = JSON.stringify(event, null, 2);
  const closeOnBackdrop = (click: MouseEvent): void => {
    if (click.target === dialog.current) dialog.current?.close();
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby={heading} onClose={onClose} onClick={closeOnBackdrop}>
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={heading}>{event.type}</h2>
          <CopyButton text={text} what="JSON" />
          <button type="button" class="button button-quiet" aria-label="Close" onClick={() => dialog.current?.close()}>
            <Icon name="close" />
          </button>
        </header>
        <pre class="scroller code" tabIndex={0} role="group" aria-label="Event as JSON">
          {text}
        </pre>
      </div>
    </dialog>
  );
}
