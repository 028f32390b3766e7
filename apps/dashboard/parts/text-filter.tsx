/** A filter of a list by a text, in the address of the page once it is entered. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** Keeps what is typed until it is entered: the page is drawn again at any moment. */
export function TextFilter({ label, value, onChange }: TextFilterProps): JSX.Element {
  const [draft, setDraft] = useState(value ?? '');
  useEffect(() => setDraft(value ?? ''), [value]);
  return (
    <label class="inline">
      {label}
      <input
        type="search"
        placeholder="any"
        maxLength={256}
        value={draft}
        onInput={(event) => setDraft(event.currentTarget.value)}
        onChange={(event) => onChange(event.currentTarget.value.trim())}
      />
    </label>
  );
}

interface TextFilterProps {
  readonly label: string;
  readonly value: string | undefined;
  readonly onChange: (value: string) => void;
}
