/** The hub's event stream, resumed after dropped connections and hub restarts. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Requester } from './api-request.ts';
import { onAbort, Stop, timedOut } from './platform.ts';
import { requestedWaitMs, checkMs, isTemporary, OUTAGE_MAX_MS, pause, spread, TIMER_MS_MAX, Waits } from './retries.ts';
import { readServerSentEvents } from './sse.ts';
import type { StreamEvent } from './types.ts';

/** Which events of a stream are wanted, and how long to continue without the hub. Filters that are left out match everything. */
export interface EventsOptions {
  readonly taskId?: string | undefined;
  readonly agentId?: string | undefined;
  readonly type?: string | undefined;
  /** Only what happens to tasks, or only what happens to agents. */
  readonly about?: 'tasks' | 'agents' | undefined;
  /** Yields events after this one; `0`: all that are kept. Default: from now on. */
  readonly lastEventId?: string | undefined;
  /** Without `lastEventId`: starts this many events before the end. */
  readonly last?: number | undefined;
  /** With `taskId`: throws `AC_API` (`invalid_state`) if that task has ended when the stream opens. An older hub refuses it (`validation_failed`). */
  readonly unlessEnded?: boolean | undefined;
  /** Ends the stream: the generator returns. */
  readonly signal?: AbortSignal | undefined;
  /** Called when the stream opens, and whenever anything arrives. */
  readonly onReceived?: (() => void) | undefined;
  /** Called before each reconnect, with the reason. */
  readonly onReconnect?: ((reason: string) => void) | undefined;
  /** Gives up after this long without contact, milliseconds; the time that an event is with its consumer does not count. Default 5 minutes. */
  readonly giveUpAfterMs?: number | undefined;
  /** A stream that receives nothing for this long counts as dead and is reopened, milliseconds. Default 60,000. */
  readonly idleMs?: number | undefined;
}

export type EventsClient = (options?: EventsOptions) => AsyncGenerator<StreamEvent, void>;

export const eventsClient =
  (requests: Pick<Requester, 'stream'>): EventsClient =>
  (options) =>
    followEvents(requests, options);

const IDLE_MS = 60_000;
/** How much of an event that cannot be read is in the error. */
const SHOWN_CHARACTERS_MAX = 100;

/** Throws `AC_USAGE`. */
function checkTimes({ idleMs, giveUpAfterMs }: Pick<EventsOptions, 'idleMs' | 'giveUpAfterMs'>): void {
  checkMs('idleMs', idleMs, [1, TIMER_MS_MAX]);
  checkMs('giveUpAfterMs', giveUpAfterMs, [0, Infinity]);
}

/**
 * Yields each event once, in order, and resumes after the last one if the connection drops. Throws `AC_API` if the hub refuses,
 * `AC_API_UNREACHABLE` if it cannot be reached for longer than `giveUpAfterMs`.
 */
async function* followEvents(requests: Pick<Requester, 'stream'>, options: EventsOptions = {}): AsyncGenerator<StreamEvent, void> {
  checkTimes(options);
  let lastEventId = options.lastEventId;
  const waits = new Waits();
  let receivedAtMs = performance.now();
  const onPosition = (id: string): void => void (lastEventId = id);
  for (;;) {
    let waitMs: number;
    if (isAborted(options.signal)) return;
    const idle = idleSignal(options.idleMs ?? IDLE_MS, options.signal);
    try {
      for await (const event of streamOnce(requests, options, { lastEventId, onPosition }, idle)) {
        if (isAborted(options.signal)) return;
        lastEventId = event.id ?? lastEventId;
        waits.restart();
        idle.hold();
        yield event;
        idle.received();
      }
      receivedAtMs = idle.receivedAtMs() ?? receivedAtMs;
      waitMs = waits.next();
    } catch (thrown) {
      if (isAborted(options.signal)) return;
      receivedAtMs = idle.receivedAtMs() ?? receivedAtMs;
      // Any other error is the caller's: of `onReceived`, or thrown into this generator.
      if (!AgentcomError.is(thrown) || !isTemporary(thrown)) throw thrown;
      waitMs = waits.next(requestedWaitMs(thrown));
      if (performance.now() + waitMs - receivedAtMs > (options.giveUpAfterMs ?? OUTAGE_MAX_MS)) throw thrown;
      options.onReconnect?.(thrown.message);
    } finally {
      idle.end();
    }
    if (!(await waited(spread(waitMs), options.signal))) return;
  }
}

async function* streamOnce(
  { stream }: Pick<Requester, 'stream'>,
  options: EventsOptions,
  { lastEventId, onPosition }: { readonly lastEventId: string | undefined; readonly onPosition: (id: string) => void },
  idle: IdleSignal,
): AsyncGenerator<StreamEvent, void> {
  const headers = { accept: 'text/event-stream', ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) };
  const query = {
    task_id: options.taskId,
    agent_id: options.agentId,
    type: options.type,
    about: options.about,
    last: options.last,
    unless_ended: options.unlessEnded === true ? 'true' : undefined,
  };
  const response = await stream({ method: 'GET', path: '/api/events', query, headers, idempotent: true }, idle.stop);
  const type = response.header('content-type');
  // A page of a proxy, for example, or nothing (204): it would end at once, again and again.
  if (type?.startsWith('text/event-stream') !== true) {
    const found = type ?? `status ${response.status} and no content type`;
    throw unreadable(
      `GET /api/events was answered with ${found}, not an event stream. Is that the address of an AgentCom hub?`,
      response.status,
    );
  }
  const onBytes = (): void => {
    idle.received();
    options.onReceived?.();
  };
  onBytes();
  for await (const { id, event, data } of readServerSentEvents(response.bytes(), onBytes, onPosition)) {
    yield { id, event: event as StreamEvent['event'], data: dataOf(id, data, response.status) };
  }
}

function dataOf(id: string | null, text: string, status: number): StreamEvent['data'] {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    data = null; // refused below, like JSON that is no object
  }
  if (typeof data === 'object' && data !== null) return data as StreamEvent['data'];
  const found = text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
  throw unreadable(
    `GET /api/events: expected a JSON object in event ${id ?? 'without an ID'}, found ${found}. Check what is between this program and the hub.`,
    status,
  );
}

/** It would be read again after a reconnect: nothing is repeated. */
const unreadable = (message: string, status: number): AgentcomError => new AgentcomError('AC_API', message, { details: { status } });

interface IdleSignal {
  readonly stop: Stop;
  readonly received: () => void;
  /** Until the next `received`, nothing can arrive: nothing is read while the consumer has an event. */
  readonly hold: () => void;
  /** When anything was last received, by the monotonic clock; null if nothing was. */
  readonly receivedAtMs: () => number | null;
  readonly end: () => void;
}

/** A stop that is aborted with `outer`, or if `received` was not called for `idleMs`. */
function idleSignal(idleMs: number, outer: AbortSignal | undefined): IdleSignal {
  const stop = new Stop();
  const unlink = onAbort(outer, (reason) => stop.abort(reason));
  let receivedAtMs: number | null = null;
  let sinceMs = performance.now();
  let isHeld = false;
  const check = (): void => {
    const leftMs = isHeld ? idleMs : sinceMs + idleMs - performance.now();
    if (leftMs > 0) timer = setTimeout(check, leftMs);
    else stop.abort(timedOut(`nothing received for ${idleMs / 1_000} s`));
  };
  let timer = setTimeout(check, idleMs);
  return {
    stop,
    received: () => {
      isHeld = false;
      receivedAtMs = sinceMs = performance.now();
    },
    hold: () => void (isHeld = true),
    receivedAtMs: () => receivedAtMs,
    end: () => {
      clearTimeout(timer);
      unlink();
      stop.abort(new Error('the stream was closed')); // closes the connection if the consumer returned early
    },
  };
}

/** False if `signal` was aborted first. */
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
