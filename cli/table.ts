import { textOf } from "./api.ts";

/** Prints rows as aligned columns under the given members' names; a missing value is a dash. */
export function printTable(rows: readonly unknown[], columns: readonly string[]): void {
  process.stdout.write(formatTable(rows, columns));
}

/** The text of the table, one line per row; every line ends. */
function formatTable(rows: readonly unknown[], columns: readonly string[]): string {
  const cells = rows.map((row) => columns.map((column) => textOf(row, column)));
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => text.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  return [columns, ...cells].map((texts) => `${line(texts)}\n`).join("");
}
