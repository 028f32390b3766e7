/**
 * The event stream of the hub, starting with some past events and then as they happen. It reconnects by itself and resumes after the last event
 * that it received, so that nothing is missed. Listeners get events in batches, as they arrive.
 */
import { effect, signal, untracked } from '@preact/signals';
import { readServerSentEvents } from '../../client/sse.ts';
import { canView, HubError, hubNowMs, identity, OWN_PAGE, readIdentity, refusalIn } from './hub-requests.ts';

export interface LiveEvent {
  readonly id: number;
  readonly event: string;
  readonly task_id?: string;
  readonly agent_id?: string | null;
  readonly generation?: number | null;
  readonly timestamp: number;
  readonly details?: Readonly<Record<string, unknown>> | null;
}

/** `behind`: connected, and still receiving past events. */
export type LiveState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'behind'; readonly byMs: number }
  /** `sinceMs`: by the hub's clock. */
  | { readonly kind: 'cut'; readonly sinceMs: number; readonly why: string }
  /** The hub answers, but has no event stream left for this page, which reads everything again every `POLLED_MS`. */
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'off' };

export const liveState = signal<LiveState>({ kind: 'off' });

/** Null: events were missed, so everything should be read again. */
type Listener = (batch: readonly LiveEvent[] | null) => void;
const listeners = new Set<Listener>();

/** Calls `listener` with each batch, until the returned function is called. */
export function onEvents(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Events before the page was opened that the charts start with. */
const BACKFILL_EVENTS = 5_000;
/** The hub sends a comment every 15 s; after this long without anything the connection is dead, milliseconds. */
const SILENT_MS = 40_000;
/** After this long without data, the hub has sent everything that it has, milliseconds. */
const CAUGHT_UP_MS = 400;
/** A stream that is later than this is shown as behind, milliseconds. */
const BEHIND_MS = 5_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 5_000;
/** An outage shorter than this is not worth mentioning, milliseconds. */
const UNNOTICED_MS = 1_000;
/** How often data is read again without an event stream: the hub has none left, or the user may not follow all tasks. Milliseconds. */
export const POLLED_MS = 10_000;
/** The hub's codes for that: all streams are taken, or this token has its share of them. */
const NONE_LEFT = new Set(['hub_busy', 'rate_limited']);

/** The last event that was received: the next stream starts after it. */
let lastId: string | null = null;
/** When the first stream was opened, by the hub's clock. */
let openedAtMs = Infinity;

/**
 * Keeps the stream open while a user with the right to see it is signed in and the page is visible: a browser has only
 * six connections for each hub.
 */
export function startLiveEvents(): void {
  const isSeen = signal(!document.hidden);
  document.addEventListener('visibilitychange', () => (isSeen.value = !document.hidden));
  let stop: AbortController | null = null;
  effect(() => {
    const wanted = identity.value !== 'unknown' && canView();
    stop?.abort();
    stop = wanted && isSeen.value ? new AbortController() : null;
    liveState.value = wanted ? { kind: 'connecting' } : { kind: 'off' };
    // Following reads the hub's clock, which every answer about the identity sets anew.
    untracked(() => {
      if (stop !== null) void follow(stop.signal);
    });
  });
}

const nextDelay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function follow(stop: AbortSignal): Promise<void> {
  let retryMs = RETRY_FIRST_MS;
  /** By the hub's clock. */
  let cutAtMs: number | null = null;
  let polledAtMs = -Infinity;
  let cutTimer: ReturnType<typeof setTimeout> | undefined;
  while (!stop.aborted) {
    let why = 'The hub closed the connection.';
    let isRefused = false;
    try {
      const isResumed = lastId !== null;
      await readStream(stop, () => {
        clearTimeout(cutTimer);
        // The hub sends the missed events, but data that has no events may have changed in the meantime.
        if (cutAtMs !== null || isResumed) notifyListeners(null);
        cutAtMs = null;
        retryMs = RETRY_FIRST_MS;
      });
    } catch (thrown) {
      if (stop.aborted) return;
      why = thrown instanceof Error ? thrown.message : String(thrown);
      isRefused = thrown instanceof HubError && NONE_LEFT.has(thrown.code);
    }
    if (stop.aborted) return;
    // A hub that refuses answers: it has not been away until now.
    cutAtMs = isRefused ? hubNowMs() : (cutAtMs ?? hubNowMs());
    const sinceMs = cutAtMs;
    clearTimeout(cutTimer);
    if (isRefused) {
      liveState.value = { kind: 'refused', why };
      if (performance.now() - polledAtMs >= POLLED_MS) {
        polledAtMs = performance.now();
        notifyListeners(null);
      }
    } else {
      // By the clock: the next attempt, or the question who is signed in, may wait long for an answer.
      const showCut = (): void => {
        if (!stop.aborted) liveState.value = { kind: 'cut', sinceMs, why };
      };
      cutTimer = setTimeout(showCut, sinceMs + UNNOTICED_MS - hubNowMs());
    }
    await nextDelay(retryMs);
    retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    // This notices a session that has ended, and signs the user out.
    await readIdentity().catch(() => {
      if (!stop.aborted && liveState.value.kind !== 'cut') liveState.value = { kind: 'cut', sinceMs, why: 'The hub does not answer.' };
    });
  }
}

/** Resolves when the hub ends the stream. Throws, with the reason for people, when it breaks. */
async function readStream(stop: AbortSignal, onOpen: () => void): Promise<void> {
  const silence = new AbortController();
  let silenceTimer = setTimeout(() => silence.abort(), SILENT_MS);
  let caughtUpTimer: ReturnType<typeof setTimeout> | undefined;
  let batch: LiveEvent[] = [];
  let flushing = false;
  const flush = (): void => {
    flushing = false;
    const ready = batch;
    batch = [];
    if (ready.length > 0) notifyListeners(ready);
  };
  const onBytes = (): void => {
    clearTimeout(silenceTimer);
    silenceTimer = setTimeout(() => silence.abort(), SILENT_MS);
    clearTimeout(caughtUpTimer);
    caughtUpTimer = setTimeout(() => (liveState.value = { kind: 'live' }), CAUGHT_UP_MS);
  };
  openedAtMs = Math.min(openedAtMs, hubNowMs());
  try {
    const response = await fetch(`/api/events?last=${BACKFILL_EVENTS}`, {
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.any([stop, silence.signal]),
      headers: { ...OWN_PAGE, ...(lastId === null ? {} : { 'last-event-id': lastId }) },
    });
    if (!response.ok) throw refusalIn(response.status, await response.text());
    if (response.body === null) throw new HubError(response.status, 'failed', 'The hub answered without an event stream.');
    onOpen();
    for await (const event of readServerSentEvents(chunksOf(response.body), onBytes)) {
      lastId = event.id ?? lastId;
      if (event.event === 'gap') {
        notifyListeners(null);
        continue;
      }
      const data = JSON.parse(event.data) as LiveEvent;
      noteLag(data);
      batch.push({ ...data, event: event.event });
      if (flushing) continue;
      flushing = true;
      setTimeout(flush);
    }
  } catch (thrown) {
    const why = silence.signal.aborted ? `Nothing arrived for ${SILENT_MS / 1_000} s.` : 'The connection to the hub broke.';
    throw thrown instanceof HubError ? thrown : new Error(why);
  } finally {
    clearTimeout(silenceTimer);
    clearTimeout(caughtUpTimer);
    flush();
  }
}

function noteLag(event: LiveEvent): void {
  const byMs = hubNowMs() - event.timestamp;
  const { kind } = liveState.value;
  // Events from before the page was opened are old by design: the charts start with them, and they may arrive slowly.
  if (event.timestamp < openedAtMs) return;
  if (byMs > BEHIND_MS && kind !== 'connecting') liveState.value = { kind: 'behind', byMs };
  else if (byMs <= BEHIND_MS && kind !== 'live') liveState.value = { kind: 'live' };
}

function notifyListeners(batch: readonly LiveEvent[] | null): void {
  for (const listener of [...listeners]) listener(batch);
}

/** Not every browser can iterate a stream. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    await reader.cancel().catch((thrown: unknown) => {
      if (!(thrown instanceof Error)) throw thrown;
    });
  }
}
