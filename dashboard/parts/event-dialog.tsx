import type { EventJson } from "../../core/live/protocol.ts";
import { CopyButton } from "./copy-button.tsx";
import { Dialog } from "./dialog.tsx";

/** One whole event. */
export function EventDialog({ event, onClose }: { event: EventJson; onClose: () => void }) {
  const text = JSON.stringify(event, null, 2);
  return (
    <Dialog title={event.type} onClose={onClose} actions={<CopyButton text={text} what="JSON" />}>
      <pre class="scroller code" tabIndex={0} role="group" aria-label="Event as JSON">
        {text}
      </pre>
    </Dialog>
  );
}
