/** The hub's event stream, which survives dropped connections and hub restarts. */
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { openStream, pause, type Connection } from './api-request.ts';
import { readServerSentEvents } from './sse.ts';
import type { StreamEvent } from './types.ts';

export interface EventsOptions {
  readonly taskId?: string | undefined;
  readonly agentId?: string | undefined;
  readonly type?: string | undefined;
  /** Events after this one; `0` for all that are kept. Default: from now on. */
  readonly lastEventId?: string | undefined;
  /** Ends the stream, which then returns. */
  readonly signal?: AbortSignal | undefined;
  /** Called each time the stream was lost and is reopened. */
  readonly onReconnect?: ((reason: string) => void) | undefined;
  /** Gives up after this long without contact, milliseconds. Default 5 minutes. */
  readonly giveUpAfterMs?: number | undefined;
  /** A stream without a byte for this long counts as dead and is reopened, milliseconds. Default 60,000. */
  readonly idleMs?: number | undefined;
}

export type EventsClient = (options?: EventsOptions) => AsyncGenerator<StreamEvent, void>;

export const eventsClient =
  (connection: Connection): EventsClient =>
  (options) =>
    followEvents(connection, options);

const GIVE_UP_AFTER_MS = 300_000;
const IDLE_MS = 60_000;
const FIRST_WAIT_MS = 250;
const WAIT_MAX_MS = 5_000;

/**
 * Yields each event once, in order, and resumes after the last one when the connection drops. Throws `AC_API` when the hub refuses,
 * `AC_API_UNREACHABLE` when it stays away longer than `giveUpAfterMs`.
 */
export async function* followEvents(connection: Connection, options: EventsOptions = {}): AsyncGenerator<StreamEvent, void> {
  let lastEventId = options.lastEventId;
  let waitMs = FIRST_WAIT_MS;
  let heardAtMs = performance.now();
  for (;;) {
    if (isAborted(options.signal)) return;
    const life = aliveSignal(options.idleMs ?? IDLE_MS, options.signal);
    try {
      for await (const event of oneStream(connection, options, lastEventId, life)) {
        lastEventId = event.id ?? lastEventId;
        waitMs = FIRST_WAIT_MS;
        yield event;
      }
      heardAtMs = life.heardAtMs() ?? heardAtMs;
    } catch (thrown) {
      if (isAborted(options.signal)) return;
      heardAtMs = life.heardAtMs() ?? heardAtMs;
      const givenUp = performance.now() - heardAtMs > (options.giveUpAfterMs ?? GIVE_UP_AFTER_MS);
      if (givenUp || !mayComeBack(thrown)) throw thrown;
      options.onReconnect?.(messageOf(thrown));
    } finally {
      life.end();
    }
    if (!(await waited(waitMs, options.signal))) return;
    waitMs = Math.min(waitMs * 2, WAIT_MAX_MS);
  }
}

async function* oneStream(
  connection: Connection,
  options: EventsOptions,
  lastEventId: string | undefined,
  life: Life,
): AsyncGenerator<StreamEvent, void> {
  const response = await openStream(connection, {
    method: 'GET',
    path: '/api/events',
    query: { task_id: options.taskId, agent_id: options.agentId, type: options.type },
    headers: { accept: 'text/event-stream', ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) },
    repeatable: true,
    signal: life.signal,
  });
  life.heard();
  if (response.body === null) return;
  // The pipe ends the body, because fetch may lose the signal of a response in progress to garbage collection.
  const bytes = response.body.pipeThrough(new TransformStream<Uint8Array, Uint8Array>(), { signal: life.signal });
  for await (const { id, event, data } of readServerSentEvents(bytes, life.heard)) {
    yield { id, event: event as StreamEvent['event'], data: JSON.parse(data) as StreamEvent['data'] };
  }
}

interface Life {
  readonly signal: AbortSignal;
  readonly heard: () => void;
  /** When anything was last received; null if nothing was. */
  readonly heardAtMs: () => number | null;
  readonly end: () => void;
}

/** A signal that is aborted with `outer`, or when `heard` was not called for `idleMs`. */
function aliveSignal(idleMs: number, outer: AbortSignal | undefined): Life {
  const silence = new AbortController();
  let heardAtMs: number | null = null;
  const timer = setTimeout(() => silence.abort(new Error(`nothing received for ${idleMs / 1_000} s`)), idleMs);
  return {
    signal: outer === undefined ? silence.signal : AbortSignal.any([outer, silence.signal]),
    heard: () => {
      heardAtMs = performance.now();
      timer.refresh();
    },
    heardAtMs: () => heardAtMs,
    end: () => {
      clearTimeout(timer);
      silence.abort(); // closes the connection of a consumer that left early
    },
  };
}

/** Whether a retry can help: for a hub that restarts or is busy, not for one that refuses. */
function mayComeBack(thrown: unknown): boolean {
  if (!AgentcomError.is(thrown, 'AC_API')) return true;
  const status = thrown.details?.['status'];
  return status === 503 || status === 429 || status === 502 || status === 504;
}

async function waited(delayMs: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await pause(delayMs, signal);
    return true;
  } catch (thrown) {
    if (isAborted(signal)) return false;
    throw thrown;
  }
}

/** A function, so that the compiler does not narrow the value across awaits. */
const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;
