import { useState } from "preact/hooks";
import type { EventJson } from "../../core/live/protocol.ts";
import { isSameDay, moment } from "../format/time.ts";
import { summary } from "../format/value.ts";
import { serverNowMs } from "../live/clock.ts";
import { EventDialog } from "./event-dialog.tsx";
import { Severity } from "./severity.tsx";

const COLUMNS = ["Time", "Type", "Source", "Severity", "Data"];

interface EventTableProps {
  readonly events: readonly EventJson[];
  readonly rows: number;
  readonly slotOf: (type: string) => number;
}

/** Events, newest arrival first; each opens whole. On narrow pages a row becomes a card of two lines. */
export function EventTable({ events, rows, slotOf }: EventTableProps) {
  const [open, setOpen] = useState<EventJson | null>(null);
  const shown = events.slice(0, rows);
  return (
    <>
      {/* Roles are repeated because cards change the display of rows, which would take the table's meaning away. */}
      <table class="table events" role="table" data-dates={shown.some(isOfAnotherDay)}>
        <caption class="visually-hidden">Latest events, newest first</caption>
        <thead role="rowgroup">
          <tr role="row">
            {COLUMNS.map((name) => (
              <th key={name} scope="col" role="columnheader">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {shown.map((event) => (
            <EventRow key={event.id} event={event} slot={slotOf(event.type)} onOpen={setOpen} />
          ))}
        </tbody>
      </table>
      {open !== null && <EventDialog event={open} onClose={() => setOpen(null)} />}
    </>
  );
}

/** Backfilled events need room for their date. */
function isOfAnotherDay(event: EventJson): boolean {
  return !isSameDay(Date.parse(event.timestamp), serverNowMs.peek());
}

interface EventRowProps {
  readonly event: EventJson;
  readonly slot: number;
  readonly onOpen: (event: EventJson) => void;
}

function EventRow({ event, slot, onOpen }: EventRowProps) {
  const data = summary(event.data);
  return (
    <tr role="row" class="event-row">
      <td role="cell" class="event-time">
        <time dateTime={event.timestamp} title={event.timestamp}>
          {moment(Date.parse(event.timestamp), serverNowMs.peek())}
        </time>
      </td>
      <td role="cell" class="event-type">
        <button type="button" class="event-open" aria-haspopup="dialog" onClick={() => onOpen(event)}>
          <span class="dot" data-slot={slot} aria-hidden="true" />
          {event.type}
        </button>
      </td>
      <td role="cell" class="event-source">
        {event.source}
      </td>
      <td role="cell" class="event-severity">
        <Severity severity={event.severity} />
      </td>
      <td role="cell" class="event-data" title={data}>
        {data}
      </td>
    </tr>
  );
}
