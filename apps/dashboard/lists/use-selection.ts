/** The rows of a list that the user has selected. */
import { useState } from 'preact/hooks';

export interface Selection<Row> {
  /** By key, each as it was when it was selected. */
  readonly chosen: ReadonlyMap<string, Row>;
  readonly toggle: (row: Row) => void;
  readonly clear: () => void;
}

export function useSelection<Row>(keyOf: (row: Row) => string): Selection<Row> {
  const [chosen, setChosen] = useState<ReadonlyMap<string, Row>>(new Map());
  return {
    chosen,
    toggle(row) {
      const next = new Map(chosen);
      if (!next.delete(keyOf(row))) next.set(keyOf(row), row);
      setChosen(next);
    },
    clear: () => setChosen(new Map()),
  };
}
