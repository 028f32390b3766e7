/** The page that is shown, in the fragment of the address: `#/tasks?status=queued`. Filters are in it, so that a link keeps them. */
import { signal } from '@preact/signals';

export interface Place {
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

function readPlace(): Place {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2);
  return { path: path.split('/').filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

export const place = signal<Place>(readPlace());

export function startRouting(): void {
  addEventListener('hashchange', () => {
    place.value = readPlace();
    // The link that was followed may be gone. Keyboards and screen readers start at the top of the new page.
    document.getElementById('main')?.focus({ preventScroll: true });
    scrollTo(0, 0);
  });
}

/** A link to a page of the dashboard. Parameters without a value are left out. */
export function href(path: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '');
  const text = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`;
}

export const goTo = (path: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): void => {
  location.hash = href(path, query);
};

/** Changes filters in place: going back leaves the page instead of undoing each of them. */
export function setFilters(path: readonly string[], query: Readonly<Record<string, string | undefined>>): void {
  history.replaceState(null, '', href(path, query));
  place.value = readPlace();
}
