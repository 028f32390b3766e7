/** What can be done to the selected rows of a list, or to all that match. */
import type { JSX } from 'preact';

export function BulkBar({ selected, actions, onClear }: BulkBarProps): JSX.Element {
  return (
    <div class="bulk-bar">
      <span>{selected > 0 ? `${selected.toLocaleString('en')} selected` : 'All that match:'}</span>
      {actions.map(([word, onAction]) => (
        <button key={word} type="button" class="small" onClick={onAction}>
          {word}…
        </button>
      ))}
      {selected > 0 && (
        <button type="button" class="link" onClick={onClear}>
          Clear selection
        </button>
      )}
    </div>
  );
}

interface BulkBarProps {
  readonly selected: number;
  readonly actions: readonly (readonly [word: string, onAction: () => void])[];
  readonly onClear: () => void;
}
