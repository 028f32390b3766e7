/** Rows as aligned text, as wide as the terminal allows. */
import { printable, shortened } from './printable.ts';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** On a terminal longer cells are cut to this many characters. */
  readonly charactersMax?: number | undefined;
  /** If the table does not fit, the cells are cut, but not below this. The last column has a default of its own. */
  readonly charactersMin?: number | undefined;
  /** If the table still does not fit, columns that have this number are left out, the lowest number first. */
  readonly leftOut?: number | undefined;
}

const GAP = '  ';
const LAST_COLUMN_CHARACTERS_MIN = 10;

interface Measured {
  readonly texts: readonly string[];
  readonly width: number;
  readonly min: number;
  readonly leftOut: number;
}

/** The title line and one line for each row; `width` is the terminal's, undefined for a file or a pipe: there nothing is cut. */
export function tableLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number | undefined): string[] {
  const measured = columns.map(({ title, cell, charactersMax = Infinity, charactersMin, leftOut = Infinity }, index): Measured => {
    const most = width === undefined ? Infinity : charactersMax;
    const texts = [title, ...rows.map((row) => shortened(printable(cell(row)), most))];
    const widest = Math.max(...texts.map(charactersOf));
    const min = charactersMin ?? (index === columns.length - 1 ? LAST_COLUMN_CHARACTERS_MIN : widest);
    return { texts, width: widest, min: Math.min(widest, Math.max(min, charactersOf(title))), leftOut };
  });
  const shown = width === undefined ? measured : fitting(measured, width);
  return Array.from({ length: rows.length + 1 }, (_, line) =>
    shown
      .map(({ texts, width: columnWidth }) => shortened(texts[line] ?? '', columnWidth).padEnd(columnWidth))
      .join(GAP)
      .trimEnd(),
  );
}

/** First, columns that can be cut shrink to their minimum; then columns are left out; the remaining width is shared. */
function fitting(columns: readonly Measured[], width: number): readonly Measured[] {
  let shown = columns;
  const least = (): number => shown.reduce((sum, { min }) => sum + min + GAP.length, -GAP.length);
  for (;;) {
    if (least() <= width) break;
    const next = shown.reduce((first, column) => (column.leftOut < first.leftOut ? column : first), shown[0] as Measured);
    if (next.leftOut === Infinity) break;
    shown = shown.filter((column) => column !== next);
  }
  let room = Math.max(0, width - least());
  const widths = new Map(shown.map((column) => [column, column.min]));
  // One character each in turn, until the width is used up or no column needs more.
  for (let wanting = shown; room > 0 && wanting.length > 0;) {
    wanting = wanting.filter((column) => (widths.get(column) ?? 0) < column.width);
    for (const column of wanting) {
      if (room === 0) break;
      widths.set(column, (widths.get(column) ?? 0) + 1);
      room -= 1;
    }
  }
  return shown.map((column) => ({ ...column, width: widths.get(column) ?? column.width }));
}

const charactersOf = (text: string): number => [...text].length;
