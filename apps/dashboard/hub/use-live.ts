/** Data of the hub in a component: read at once, and again whenever an event concerns it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { HubError, hubNowMs } from './hub-requests.ts';
import { liveState, onEvents, POLLED_MS, type LiveEvent } from './live-events.ts';

export interface LiveOptions<T> {
  /** Whether an event may have changed the data. Default: every event may. */
  readonly concerns?: (event: LiveEvent) => boolean;
  /** The data is read at the latest this long after any other event, milliseconds: not every change has an event. Default: it is not read. */
  readonly othersWithinMs?: number;
  /** The least time between two reads, milliseconds. */
  readonly gapMs?: number;
  /** When the data changes without an event, such as at the end of a pause: times by the hub's clock; those that have passed are ignored. */
  readonly changesAt?: (data: T) => readonly unknown[];
}

export interface Live<T> {
  /** The data that was last read; undefined at first. */
  readonly data: T | undefined;
  /** Why the last read failed; null if it did not. */
  readonly error: HubError | null;
  readonly reload: () => void;
}

const GAP_MS = 1_000;
const RETRY_MS = 2_000;
/** A change that is later than this is not waited for, milliseconds. */
const CHANGE_WITHIN_MS = 86_400_000;
/** How long after the change the data is read, milliseconds: clocks differ a little. */
const AFTER_CHANGE_MS = 500;

/** How long from now until the next of these times, milliseconds; Infinity: none is left. */
function nextChange(times: readonly unknown[]): number {
  const nowMs = hubNowMs();
  return Math.min(...times.filter((time) => typeof time === 'number').map((time) => (time > nowMs ? time - nowMs : Infinity)), Infinity);
}

/** Reads again when `key` changes. `read` gets a signal that aborts it. */
export function useLive<T>(key: string, read: (stop: AbortSignal) => Promise<T>, options: LiveOptions<T> = {}): Live<T> {
  const [state, setState] = useState<{ readonly key: string; readonly data: T | undefined; readonly error: HubError | null }>({
    key,
    data: undefined,
    error: null,
  });
  const latest = useRef({ read, options });
  latest.current = { read, options };
  const reload = useRef<() => void>(() => undefined);

  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let dueMs = Infinity;
    let readAtMs = -Infinity;
    let reading = false;
    let again = false;
    const gapMs = latest.current.options.gapMs ?? GAP_MS;

    const readNow = async (): Promise<void> => {
      if (stop.signal.aborted) return;
      dueMs = Infinity;
      if (reading) {
        again = true;
        return;
      }
      reading = true;
      again = false;
      readAtMs = performance.now();
      try {
        const data = await latest.current.read(stop.signal);
        if (stop.signal.aborted) return;
        setState({ key, data, error: null });
        const nextMs = nextChange(latest.current.options.changesAt?.(data) ?? []);
        if (nextMs < CHANGE_WITHIN_MS) schedule(nextMs + AFTER_CHANGE_MS);
      } catch (thrown) {
        if (stop.signal.aborted) return;
        const error = thrown instanceof HubError ? thrown : new HubError(0, 'failed', String(thrown));
        setState((before) => ({ key, data: before.key === key ? before.data : undefined, error }));
        if (error.status === 0 || error.status >= 500 || error.status === 429) schedule(RETRY_MS);
      } finally {
        reading = false;
        if (again) schedule(gapMs);
        else if (liveState.value.kind === 'off') schedule(POLLED_MS);
      }
    };
    const schedule = (inMs: number): void => {
      const atMs = Math.max(performance.now() + inMs, readAtMs + gapMs);
      if (atMs >= dueMs) return;
      clearTimeout(timer);
      dueMs = atMs;
      timer = setTimeout(() => void readNow(), atMs - performance.now());
    };

    reload.current = () => void readNow();
    void readNow();
    const unsubscribe = onEvents((batch) => {
      const { concerns, othersWithinMs } = latest.current.options;
      if (batch === null || concerns === undefined || batch.some(concerns)) schedule(0);
      else if (othersWithinMs !== undefined) schedule(othersWithinMs);
    });
    return () => {
      stop.abort();
      clearTimeout(timer);
      unsubscribe();
    };
  }, [key]);

  return { data: state.key === key ? state.data : undefined, error: state.error, reload: () => reload.current() };
}
