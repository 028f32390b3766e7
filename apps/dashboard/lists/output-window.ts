/**
 * What the page keeps of the output of a task: consecutive chunks, at most `WINDOW_MAX` of them. While the reader is at the end, it follows new
 * output and drops the oldest. A reader who has scrolled up keeps what is visible: then the newest output is left out, until `follow` is called
 * again.
 */
import { signal } from '@preact/signals';
import type { OutputChunkJson, OutputPage } from '../../client/types.ts';
import { get, HubError } from '../hub/hub-requests.ts';
import { invisibleCount, MARKS_MAX } from '../parts/untrusted-text.tsx';

interface Size {
  readonly characters: number;
  readonly elements: number;
}

/** The most that the page holds; it always holds at least one chunk. */
export const WINDOW_MAX: Size = { characters: 300_000, elements: 4_000 };
/** Elements of a chunk, without the marks in its text. */
const CHUNK_ELEMENTS = 3;
/** How many characters a mark, such as `[U+001B]`, has beyond the one that it represents. */
const MARK_CHARACTERS = 8;
/** Chunks per request. */
const PAGE_CHUNKS = 200;
/** A download ends after this many characters. */
const DOWNLOAD_CHARACTERS_MAX = 100_000_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 5_000;
/** Output that arrives sooner than this after other output, or is longer, is not read out. */
const READ_OUT = { gapMs: 2_000, charactersMax: 400 };
const GONE = new Set([401, 403, 404]);

/** `idle`: nothing is requested, because the end of the window is not the newest output, or the page is hidden. */
export type Following = 'loading' | 'live' | 'retrying' | 'idle' | 'ended';

export class OutputWindow {
  /** Changes with everything below. */
  readonly version = signal(0);
  chunks: readonly OutputChunkJson[] = [];
  /** Whether older, or newer, output than that in `chunks` was left out. */
  hasEarlier = false;
  hasLater = false;
  following: Following = 'loading';
  /** Why the request is being retried; null if the hub answers. */
  error: HubError | null = null;
  /** What the hub stores; null until it has said so. */
  kept: OutputPage['kept'] | null = null;
  /** Output comes faster than a screen reader reads it out. */
  isFast = true;
  /** Set by the view: whether the reader is at the end. */
  isReaderAtEnd = true;
  readonly #path: string;
  /** Positions to read from, about a page apart: the hub is asked for older output from there. */
  readonly #starts: number[] = [0];
  #readSinceStart = 0;
  /** Sizes by chunk, each computed once. */
  readonly #sizes = new WeakMap<OutputChunkJson, Size>();
  #arrivedMs = -Infinity;
  #stop: AbortController | null = null;

  constructor(taskId: string) {
    this.#path = `/api/tasks/${encodeURIComponent(taskId)}/output`;
  }

  /** Continues to read after the last chunk, until the task has ended or `pause` is called. Does nothing if it is already following. */
  follow(): void {
    if (this.#stop !== null) return;
    const stop = new AbortController();
    this.#stop = stop;
    this.hasLater = false;
    void this.#run(stop.signal).finally(() => {
      if (this.#stop === stop) this.#stop = null;
    });
  }

  pause(): void {
    this.#stop?.abort();
    this.#stop = null;
    if (this.following !== 'ended') this.following = 'idle';
  }

  async #run(stop: AbortSignal): Promise<void> {
    let retryMs = RETRY_FIRST_MS;
    while (!stop.aborted) {
      try {
        const page = await this.#read(this.#after(), stop);
        if (stop.aborted) return;
        this.#append(page);
        if (this.hasLater) return this.#show('idle');
        if (page.more) continue;
        // After a failure, the hub has to answer a wait of no length before this page says that it follows.
        const isWell = this.error === null;
        this.#show(isWell ? 'live' : 'retrying');
        const wait = `${this.#path}/wait?after=${this.#after()}${isWell ? '' : '&wait_ms=0'}`;
        const next = await get<{ readonly more: boolean; readonly ended: boolean }>(wait, stop);
        this.error = null;
        retryMs = RETRY_FIRST_MS;
        if (next.ended && !next.more) return this.#show('ended');
      } catch (thrown) {
        if (stop.aborted) return;
        this.error = thrown instanceof HubError ? thrown : new HubError(0, 'failed', String(thrown));
        if (GONE.has(this.error.status)) return this.#show('idle');
        this.#show('retrying');
        await pauseFor(retryMs, stop);
        retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
      }
    }
  }

  #after(): number {
    return this.chunks.at(-1)?.n ?? 0;
  }

  #read(after: number, stop?: AbortSignal): Promise<OutputPage> {
    return get<OutputPage>(`${this.#path}?after=${after}&limit=${PAGE_CHUNKS}`, stop);
  }

  #append({ output, kept }: OutputPage): void {
    this.kept = kept;
    const [first] = output;
    if (first === undefined) return;
    if (this.#readSinceStart >= PAGE_CHUNKS && first.n > (this.#starts.at(-1) ?? 0)) {
      this.#starts.push(first.n - 1);
      this.#readSinceStart = 0;
    }
    this.#readSinceStart += output.length;
    const nowMs = performance.now();
    const characters = output.reduce((sum, { text }) => sum + text.length, 0);
    this.isFast = this.following === 'loading' || nowMs - this.#arrivedMs < READ_OUT.gapMs || characters > READ_OUT.charactersMax;
    this.#arrivedMs = nowMs;
    const all = [...this.chunks, ...output];
    if (this.isReaderAtEnd) {
      this.chunks = this.#newestWithin(all, WINDOW_MAX);
      this.hasEarlier ||= this.chunks.length < all.length;
    } else {
      this.chunks = this.#oldestWithin(all, WINDOW_MAX);
      this.hasLater = this.chunks.length < all.length;
    }
  }

  /** Reads older output, at most half a window of it, and drops newer output to fit it in. Throws `HubError`. */
  async readEarlier(): Promise<void> {
    let older: readonly OutputChunkJson[] = [];
    let start: number;
    const before = this.chunks[0]?.n ?? Infinity;
    let below = before;
    do {
      start = this.#starts.findLast((position) => position < below - 1) ?? 0;
      below = start;
      let page: OutputPage;
      let after = start;
      do {
        page = await this.#read(after);
        older = [...older, ...page.output.filter(({ n }) => n < before)];
        after = page.next_after;
      } while (page.more && after < before - 1);
      // What was there may have been removed since.
    } while (older.length === 0 && start > 0);
    if (this.chunks[0]?.n !== before) return;
    const added = this.#newestWithin(older, { characters: WINDOW_MAX.characters / 2, elements: WINDOW_MAX.elements / 2 });
    const all = [...added, ...this.chunks];
    this.chunks = this.#oldestWithin(all, WINDOW_MAX);
    this.hasEarlier = start > 0 || added.length < older.length;
    if (this.chunks.length < all.length) {
      this.pause();
      this.hasLater = true;
    }
    this.#show(this.following);
  }

  /** All that the hub keeps, as it was printed. Throws `HubError`. */
  async readAll(): Promise<readonly string[]> {
    const parts: string[] = [];
    let characters = 0;
    for (let [after, more] = [0, true]; more && characters < DOWNLOAD_CHARACTERS_MAX;) {
      const page = await this.#read(after);
      for (const { text } of page.output) {
        parts.push(`${text}\n`);
        characters += text.length;
      }
      [after, more] = [page.next_after, page.more];
    }
    return parts;
  }

  /** As many chunks from the first on as fit, and at least one. */
  #oldestWithin(chunks: readonly OutputChunkJson[], max: Size): readonly OutputChunkJson[] {
    let { characters, elements } = max;
    const end = chunks.findIndex((chunk) => {
      const size = this.#sizeOf(chunk);
      characters -= size.characters;
      elements -= size.elements;
      return characters < 0 || elements < 0;
    });
    return end === -1 ? chunks : chunks.slice(0, Math.max(1, end));
  }

  #newestWithin(chunks: readonly OutputChunkJson[], max: Size): readonly OutputChunkJson[] {
    return this.#oldestWithin(chunks.toReversed(), max).toReversed();
  }

  #sizeOf(chunk: OutputChunkJson): Size {
    const known = this.#sizes.get(chunk);
    if (known !== undefined) return known;
    const marks = invisibleCount(chunk.text);
    const size = { characters: chunk.text.length + marks * MARK_CHARACTERS, elements: CHUNK_ELEMENTS + Math.min(MARKS_MAX, marks) };
    this.#sizes.set(chunk, size);
    return size;
  }

  #show(following: Following): void {
    this.following = following;
    this.version.value += 1;
  }
}

const pauseFor = (ms: number, stop: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
