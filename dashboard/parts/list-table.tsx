import type { ComponentChildren } from "preact";

/** The head of a column, if it is more than a name. */
export interface Column {
  readonly name: string;
  /** Numbers stand to the right, one under the other. */
  readonly isNumber?: boolean;
  /** The name is for screen readers alone. */
  readonly isHidden?: boolean;
}

interface ListTableProps {
  /** What the table lists, for those who do not see what stands around it. */
  readonly label: string;
  readonly columns: readonly (string | Column)[];
  /** One more class for the box, e.g. to bound its height. */
  readonly boxClass?: string;
  /** The body's rows. */
  readonly children: ComponentChildren;
}

/** A table that scrolls in its own box, by keyboard too, so that a wide one never widens the page. */
export function ListTable({ label, columns, boxClass = "", children }: ListTableProps) {
  return (
    <div class={`scroller ${boxClass}`} tabIndex={0} role="group" aria-label={label}>
      <table class="table list">
        <thead>
          <tr>
            {columns.map((column, nth) => {
              const {
                name,
                isNumber = false,
                isHidden = false,
              } = typeof column === "string" ? { name: column } : column;
              return (
                <th key={nth} scope="col" class={isNumber ? "number" : ""}>
                  {isHidden ? <span class="visually-hidden">{name}</span> : name}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** Columns of numbers. */
export function numbers(...names: readonly string[]): Column[] {
  return names.map((name) => ({ name, isNumber: true }));
}
