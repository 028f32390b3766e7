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

/** Where each entry of the history was scrolled to. The state of an entry is its key here. */
const tops = new Map<unknown, number>();
/** A list that was scrolled far is read page by page until it is long enough to scroll to its place, milliseconds. */
const RESTORED_WITHIN_MS = 5_000;
/** What the user does to scroll elsewhere. */
const OWN_MOVES = ['wheel', 'touchstart', 'pointerdown', 'keydown'];

/** A link makes an entry without a key. */
function keyOfEntry(): unknown {
  if (history.state === null) history.replaceState(performance.timeOrigin + performance.now(), '');
  return history.state;
}

/** Scrolls there as soon as the page is long enough, unless the user or `stop` says otherwise. */
function scrollWhenLong(top: number, stop: AbortController): void {
  const limit = AbortSignal.any([stop.signal, AbortSignal.timeout(RESTORED_WITHIN_MS)]);
  const growth = new ResizeObserver(() => {
    scrollTo(0, top);
    if (Math.abs(scrollY - top) < 1) stop.abort();
  });
  growth.observe(document.body);
  limit.addEventListener('abort', () => growth.disconnect());
  for (const move of OWN_MOVES) addEventListener(move, () => stop.abort(), { passive: true, signal: limit });
}

export function startRouting(): void {
  let key = keyOfEntry();
  let restoring = new AbortController();
  addEventListener('scroll', () => tops.set(key, scrollY), { passive: true });
  addEventListener('hashchange', () => {
    restoring.abort();
    restoring = new AbortController();
    key = keyOfEntry();
    const top = tops.get(key) ?? 0;
    place.value = readPlace();
    // The link that was followed may be gone. Keyboards and screen readers start at the top of the new page.
    document.getElementById('main')?.focus({ preventScroll: true });
    scrollTo(0, 0);
    if (top > 0) scrollWhenLong(top, restoring);
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
  history.replaceState(history.state, '', href(path, query));
  place.value = readPlace();
}
