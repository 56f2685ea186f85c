import { useMemo, useState } from "preact/hooks";
import { full } from "../format/number.ts";
import { clock } from "../format/time.ts";
import type { Stack } from "./stack.ts";

const PAGE_ROWS = 25;

/** The chart's numbers as a table, newest second first. It holds still while it is read: `stack` is as of opening it. */
export function SeriesTable({ stack, height }: { stack: Stack; height: number }) {
  const [page, setPage] = useState(0);
  const rows = useMemo(() => stack.at.map((_, i) => i).reverse(), [stack]);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE_ROWS));
  const caption = `Events per second up to ${clock((stack.at.at(-1) ?? 0) * 1_000)}`;
  return (
    <div class="series-table">
      <div class="scroller" style={{ height: `${height}px` }} tabIndex={0} role="group" aria-label={caption}>
        <table class="table">
          <caption class="visually-hidden">{caption}</caption>
          <thead>
            <tr>
              <th scope="col">Second</th>
              {stack.series.map(({ name }) => (
                <th key={name} scope="col" class="number">
                  {name}
                </th>
              ))}
              <th scope="col" class="number">
                total
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS).map((row) => (
              <tr key={row}>
                <th scope="row">{clock((stack.at[row] ?? 0) * 1_000)}</th>
                {stack.series.map(({ name, counts }) => (
                  <td key={name} class="number">
                    {full(counts[row] ?? 0)}
                  </td>
                ))}
                <td class="number">{full(stack.totals[row] ?? 0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pager page={page} pages={pages} onPage={setPage} />
    </div>
  );
}

function Pager({ page, pages, onPage }: { page: number; pages: number; onPage: (page: number) => void }) {
  return (
    <nav class="pager" aria-label="Pages of the table">
      <button type="button" class="button" disabled={page === 0} onClick={() => onPage(page - 1)}>
        Newer
      </button>
      <span>
        {page + 1} of {pages}
      </span>
      <button type="button" class="button" disabled={page + 1 >= pages} onClick={() => onPage(page + 1)}>
        Older
      </button>
    </nav>
  );
}
