/** Leads from one page of a list to the next. The page is in the address, so a link keeps it and going back finds it. */
import type { JSX } from 'preact';

/** A link to another page: its word and its address. */
export type PageLink = readonly [word: string, href: string];

export function Pager({ label, links }: PagerProps): JSX.Element | null {
  const shown = links.filter((link) => link !== null);
  if (shown.length === 0) return null;
  return (
    <nav class="pager" aria-label={label}>
      {shown.map(([word, address]) => (
        <a key={word} class="button small" href={address}>
          {word}
        </a>
      ))}
    </nav>
  );
}

interface PagerProps {
  readonly label: string;
  /** Null: there is no such page. */
  readonly links: readonly (PageLink | null)[];
}
