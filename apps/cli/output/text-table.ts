/** Rows as aligned text. */
import { printable, shortened } from './printable.ts';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** Longer cells are cut to this many characters; the last column also to what a terminal has left. */
  readonly charactersMax?: number | undefined;
}

const GAP = '  ';
const LAST_COLUMN_CHARACTERS_MIN = 10;

/** The title line and one line for each row; `width` is the terminal's, undefined for a file or a pipe. */
export function tableLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number | undefined): string[] {
  const cells = rows.map((row) => columns.map(({ cell, charactersMax = Infinity }) => shortened(printable(cell(row)), charactersMax)));
  const titles = columns.map(({ title }) => title);
  const widths = titles.map((title, index) =>
    Math.max(...[title, ...cells.map((line) => line[index] ?? '')].map((text) => [...text].length)),
  );
  const before = widths.slice(0, -1).reduce((sum, each) => sum + each + GAP.length, 0);
  const room = width === undefined ? Infinity : Math.max(LAST_COLUMN_CHARACTERS_MIN, width - before);
  return [titles, ...cells].map((line) =>
    line
      .map((text, index) =>
        index === columns.length - 1 ? shortened(text, room) : text + ' '.repeat((widths[index] ?? 0) - [...text].length),
      )
      .join(GAP)
      .trimEnd(),
  );
}
