/**
 * A list of tasks that is read page by page as it is scrolled. It keeps the rows of the pages around the visible ones, and only the cursors of
 * the others, so that a list of any length needs little memory and can be scrolled back.
 */
import { signal } from '@preact/signals';
import type { Page, TaskJson } from '../../client/types.ts';
import { get, HubError } from '../hub/hub-requests.ts';
import { taskRow, type TaskRow } from './task-row.ts';

export interface TaskFilter {
  readonly status?: string | undefined;
  readonly priority?: string | undefined;
  readonly assigned_to?: string | undefined;
  /** The ID of a token, or `admin`. The hub searches its tasks for a priority or an agent. */
  readonly submitted_by?: string | undefined;
  /** The hub searches the tasks for this and what follows, so this is slow if few match. The agent that was the last to fail or lose it. */
  readonly failed_by?: string | undefined;
  /** One that it needs. */
  readonly capability?: string | undefined;
  /** In the description or the last error. */
  readonly text?: string | undefined;
}

/** Whether the hub has to search for the tasks. */
export const isSearch = (filter: TaskFilter): boolean =>
  [filter.failed_by, filter.capability, filter.text].some((given) => given !== undefined) ||
  (filter.submitted_by !== undefined && (filter.priority ?? filter.assigned_to) !== undefined);

const PAGE_ROWS = 100;
/** Pages whose rows are in memory. */
const KEPT_PAGES = 20;

interface ListPage {
  /** The cursor that it was read with; undefined for the first page. */
  readonly cursor: string | undefined;
  /** The place of its first row in the list. */
  readonly start: number;
  /** How many rows it had at first. A row that has since left the list leaves an empty place at the end of the page. */
  readonly count: number;
  rows: readonly TaskRow[] | null;
}

export const listPath = (filter: TaskFilter, cursor: string | undefined, limit = PAGE_ROWS): string => {
  const given = Object.entries({ ...filter, cursor, limit: String(limit) }).filter((entry) => entry[1] !== undefined && entry[1] !== '');
  return `/api/tasks?${new URLSearchParams(given as [string, string][]).toString()}`;
};

/** The rows where they were, with what is known of them now. */
function inPlace(shown: readonly TaskRow[], fresh: readonly TaskRow[]): readonly TaskRow[] {
  const byId = new Map(fresh.map((row) => [row.id, row]));
  return shown.map((row) => byId.get(row.id) ?? row);
}

/** How many rows are above the first that is shown; null: the same rows are shown, in the same order. */
function newAbove(shown: readonly TaskRow[], fresh: readonly TaskRow[]): number | null {
  if (fresh.length === shown.length && fresh.every(({ id }, at) => id === shown[at]?.id)) return null;
  const known = new Set(shown.map(({ id }) => id));
  const above = fresh.findIndex(({ id }) => known.has(id));
  return above === -1 ? fresh.length : above;
}

export class TaskPages {
  /** Changes with everything that is shown. */
  readonly version = signal(0);
  error: HubError | null = null;
  /** How many rows are known to be there. */
  count = 0;
  isComplete = false;
  /** How many new tasks are not shown, because rows keep their places; 0: other changes are not shown; null: everything is. */
  heldBack: number | null = null;
  readonly #filter: TaskFilter;
  readonly #isHeld: () => boolean;
  /** The next refresh shows everything. */
  #isRequested = false;
  readonly #stop = new AbortController();
  #pages: ListPage[] = [];
  #next: string | undefined;
  #reading: Promise<void> | null = null;
  /** Something changed during the current read, which may have missed it. */
  #isStale = false;
  #seen: { readonly first: number; readonly last: number } = { first: 0, last: 0 };

  /** While `isHeld`, rows keep their places: the user is about to choose one. */
  constructor(filter: TaskFilter, isHeld: () => boolean) {
    this.#filter = filter;
    this.#isHeld = isHeld;
    this.#begin(() => this.#readNext());
  }

  close(): void {
    this.#stop.abort();
  }

  /** Undefined while it is being read, or if its task has left the list. */
  row(index: number): TaskRow | undefined {
    const page = this.#pageOf(index);
    return page?.rows?.[index - page.start];
  }

  /** Call it when the rows from `first` to `last` are on the screen: it reads those that are missing. */
  see(first: number, last: number): void {
    this.#seen = { first, last };
    this.#forgetFar();
    if (this.error !== null) return;
    const missing = this.#pages.find((page) => page.rows === null && page.start <= last && page.start + page.count > first);
    if (missing !== undefined) this.#begin(() => this.#readPage(missing));
    else if (!this.isComplete && last >= this.count - PAGE_ROWS / 2) this.#begin(() => this.#readNext());
  }

  /** Reads the rows on the screen again; at the top of the list also new ones. */
  refresh(): void {
    if (this.#reading !== null) {
      this.#isStale = true;
      return;
    }
    this.#isStale = false;
    this.error = null;
    const isRequested = this.#isRequested;
    this.#isRequested = false;
    if (this.count === 0 || this.#seen.first < this.#firstCount()) {
      this.#begin(() => this.#restart(isRequested));
      return;
    }
    const seen = this.#pages.filter((page) => page.start <= this.#seen.last && page.start + page.count > this.#seen.first);
    this.#begin(async () => {
      this.heldBack = null;
      for (const page of seen) await this.#readPage(page, isRequested);
    });
  }

  /** Reads the rows again, and shows what was held back. */
  show(): void {
    this.#isRequested = true;
    this.refresh();
  }

  #firstCount = (): number => this.#pages[0]?.count ?? 0;

  #pageOf(index: number): ListPage | undefined {
    let [low, high] = [0, this.#pages.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const page = this.#pages[middle];
      if (page === undefined) return undefined;
      if (index < page.start) high = middle - 1;
      else if (index >= page.start + page.count) low = middle + 1;
      else return page;
    }
    return undefined;
  }

  /** One read at a time; what is missing after it is left to the next call of `see`. */
  #begin(read: () => Promise<void>): void {
    if (this.#reading !== null || this.#stop.signal.aborted) return;
    this.#reading = read()
      .then(() => {
        this.error = null;
      })
      .catch((thrown: unknown) => {
        if (!this.#stop.signal.aborted) this.error = thrown instanceof HubError ? thrown : new HubError(0, 'failed', String(thrown));
      })
      .finally(() => {
        this.#reading = null;
        if (this.#stop.signal.aborted) return;
        this.version.value += 1;
        if (this.#isStale) return this.refresh();
        this.see(this.#seen.first, this.#seen.last);
      });
  }

  async #read(cursor: string | undefined): Promise<{ readonly rows: readonly TaskRow[]; readonly next: string | undefined }> {
    const { tasks, next_cursor: next } = await get<Page<'tasks', TaskJson>>(listPath(this.#filter, cursor), this.#stop.signal);
    return { rows: tasks.map(taskRow), next: next ?? undefined };
  }

  async #readNext(): Promise<void> {
    const cursor = this.#next;
    const { rows, next } = await this.#read(cursor);
    this.#pages.push({ cursor, start: this.count, count: rows.length, rows });
    this.count += rows.length;
    this.#next = next;
    this.isComplete = next === undefined;
  }

  async #readPage(page: ListPage, isRequested = false): Promise<void> {
    const { rows } = await this.#read(page.cursor);
    // Rows that are on the next page stay there.
    const after = this.#pages[this.#pages.indexOf(page) + 1]?.rows?.[0]?.id;
    const end = rows.findIndex(({ id }) => id === after);
    const fresh = rows.slice(0, end === -1 ? page.count : Math.min(end, page.count));
    if (isRequested || !this.#keepPlaces(page, fresh)) page.rows = fresh;
  }

  /** Whether the rows of the page keep their places; they then show what is known of them now. */
  #keepPlaces(page: ListPage | undefined, fresh: readonly TaskRow[]): boolean {
    const shown = page?.rows ?? [];
    if (page === undefined || shown.length === 0 || fresh.length === 0 || !this.#isHeld()) return false;
    const above = newAbove(shown, fresh);
    if (above !== null) this.heldBack = Math.max(this.heldBack ?? 0, page.start === 0 ? above : 0);
    page.rows = inPlace(shown, fresh);
    return true;
  }

  /** Reads the first page again. The pages below it are dropped, and read again when they are seen. */
  async #restart(isRequested: boolean): Promise<void> {
    const { rows, next } = await this.#read(undefined);
    this.heldBack = null;
    if (!isRequested && this.#keepPlaces(this.#pages[0], rows)) return;
    this.#pages = [{ cursor: undefined, start: 0, count: rows.length, rows }];
    this.count = rows.length;
    this.#next = next;
    this.isComplete = next === undefined;
  }

  #forgetFar(): void {
    const kept = this.#pages.filter((page) => page.rows !== null);
    if (kept.length <= KEPT_PAGES) return;
    const middle = (this.#seen.first + this.#seen.last) / 2;
    const byDistance = [...kept].sort((a, b) => Math.abs(a.start - middle) - Math.abs(b.start - middle));
    for (const page of byDistance.slice(KEPT_PAGES)) page.rows = null;
  }
}
