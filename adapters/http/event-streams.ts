/**
 * Server-sent events from the history of all tasks. A stream reads from the place after the last event that it gave, so
 * that it skips none and holds no more than one batch; a commit wakes it.
 *
 * A stream is `reading` (asks the feed), `waiting` (for a commit, the next check of its token or its end) or `offering`
 * (a batch that the client has not taken). It ends when the client goes, the hub stops, its token is revoked, the feed
 * fails, or the client takes nothing for `STALLED_MS`; the client comes back with `Last-Event-ID`.
 */
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import type { EventName, StoredEvent } from '../../core/domain/event.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { Timer } from '../../core/ports/clock.ts';
import type { EventFilter } from '../../core/ports/event-feed.ts';
import { eventsSchema } from '../../core/protocol/http-queries.ts';
import { eventJson } from '../../core/protocol/task-json.ts';
import type { Principal } from './authenticate.ts';
import type { HttpApiDeps } from './deps.ts';
import { queryReader } from './query.ts';
import { invalid, read, refusal, refused, type Read, type Reply } from './reply.ts';
import type { ApiRequest, Handler } from './request.ts';

const BATCH_EVENTS = 200;
/** The least time between two looks of one stream at the feed, so that many streams and many commits do not multiply. */
const GATHER_MS = 50;
/** A quiet stream says that it lives, and looks whether its token still holds. */
const ALIVE_MS = 15_000;
const STALLED_MS = 60_000;
/** What the client waits before it comes back. */
const RETRY_MS = 2_000;

export interface EventStreams {
  readonly open: Handler;
  /** Ends all of them. */
  close(): void;
}

export function eventStreams(deps: HttpApiDeps): EventStreams {
  const { events, tasks, limits } = deps;
  const readQuery = queryReader(eventsSchema);
  const ends = new Set<() => void>();
  /** Counted from before the first await of an opening, so that many at once do not pass the bound together. */
  let openCount = 0;

  const start = async (request: ApiRequest, by: Principal): Promise<Read<{ readonly place: StartPlace; readonly filter: EventFilter }>> => {
    const query = readQuery(request.query);
    if (query.kind === 'refused') return query;
    const filter: EventFilter = {
      taskId: query.value.task_id as TaskId | undefined,
      agentId: query.value.agent_id as AgentId | undefined,
      event: query.value.type as EventName | undefined,
    };
    const lastId = lastEventId(request.headers);
    if (lastId.kind === 'refused') return lastId;
    if (by.role === 'submitter') {
      if (filter.taskId === undefined) return refused(refusal('forbidden', 'A submitter follows one of its own tasks: give task_id.'));
      const [task] = await tasks.peek([filter.taskId]);
      if (task?.submittedBy !== by.id) return refused(refusal('unknown_task', 'There is no such task.'));
    }
    return read({ place: startPlace(lastId.value, await events.bounds()), filter });
  };

  const open = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    if (request.method === 'HEAD') return refusal('method_not_allowed', 'A stream is for GET.', { headers: { allow: 'GET' } });
    if (openCount >= limits.streams) return refusal('hub_busy', `The hub has ${limits.streams} event streams open, as many as it may.`);
    openCount += 1;
    let isOver = false;
    const over = (): void => {
      if (!isOver) openCount -= 1;
      isOver = true;
    };
    try {
      const started = await start(request, by);
      if (started.kind === 'refused') {
        over();
        return started.reply;
      }
      const stream = eventStream(deps, by, started.value, (end) => {
        ends.delete(end);
        over();
      });
      ends.add(stream.end);
      return { status: 200, body: stream.body, headers: { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' } };
    } catch (thrown) {
      over();
      throw thrown;
    }
  };

  return {
    open,
    close() {
      for (const end of [...ends]) end();
    },
  };
}

function lastEventId(headers: Headers): Read<number | null> {
  const text = headers.get('last-event-id');
  if (text === null || text === '') return read(null);
  const id = /^[0-9]{1,16}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(id)) return read(id);
  return refused(invalid([{ field: 'Last-Event-ID', error: 'pattern', detail: 'must be the id of an event' }]));
}

interface StartPlace {
  /** Events after this id are given. */
  readonly afterId: number;
  /** Ids that are not to be had. */
  readonly gap: { readonly from: number; readonly to: number } | null;
}

/**
 * Without a last id from now on. One older than what is kept, or above it (the database was restored), has a gap, after
 * which the stream goes on with what there is.
 */
function startPlace(lastId: number | null, bounds: { readonly first: number; readonly last: number } | null): StartPlace {
  if (lastId === null) return { afterId: bounds?.last ?? 0, gap: null };
  if (bounds === null) return lastId === 0 ? { afterId: 0, gap: null } : { afterId: 0, gap: { from: 1, to: lastId } };
  if (lastId > bounds.last) return { afterId: bounds.last, gap: { from: bounds.last + 1, to: lastId } };
  if (lastId < bounds.first - 1) return { afterId: bounds.first - 1, gap: { from: lastId + 1, to: bounds.first - 1 } };
  return { afterId: lastId, gap: null };
}

function eventStream(
  deps: HttpApiDeps,
  by: Principal,
  { place, filter }: { readonly place: StartPlace; readonly filter: EventFilter },
  onEnd: (end: () => void) => void,
): { readonly body: ReadableStream<Uint8Array>; readonly end: () => void } {
  const { events, clock, log } = deps;
  const encoder = new TextEncoder();
  let afterId = place.afterId;
  let greeting: string | null = greetingText(place);
  let ended = false;
  let commits = 0;
  let wake: () => void = () => undefined;
  let stalled: Timer | null = null;
  let readAtMs = -Infinity;
  let checkedAtMs = clock.monotonicMs();
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  const unsubscribe = deps.onCommit(() => {
    commits += 1;
    wake();
  });

  /** Ends once; what was begun in a pull sees `ended` after its next await. */
  const end = (): void => {
    if (ended) return;
    ended = true;
    stalled?.cancel();
    unsubscribe();
    wake();
    onEnd(end);
    controller?.close();
  };
  const gone = (): void => {
    controller = null;
    end();
  };
  const expectTaken = (): void => {
    stalled = clock.after(STALLED_MS, end);
  };
  /** Until woken by a commit (when `byCommit`), by the end, or by time. */
  const waitFor = (ms: number, byCommit: boolean): Promise<void> =>
    new Promise((resolve) => {
      const timer = clock.after(ms, resolve);
      wake = () => {
        if (!byCommit && !ended) return;
        timer.cancel();
        resolve();
      };
    });

  /** The next text for the client; null at the end. */
  const next = async (): Promise<string | null> => {
    if (greeting !== null) {
      const text = greeting;
      greeting = null;
      return text;
    }
    while (!ended) {
      const soonMs = readAtMs + GATHER_MS - clock.monotonicMs();
      if (soonMs > 0) await waitFor(soonMs, false);
      if (ended) return null;
      if (clock.monotonicMs() - checkedAtMs >= ALIVE_MS) {
        checkedAtMs = clock.monotonicMs();
        if (!(await by.stillHolds())) return null;
      }
      readAtMs = clock.monotonicMs();
      const seen = commits;
      const batch = await events.after(afterId, filter, BATCH_EVENTS);
      const last = batch.at(-1);
      if (last !== undefined) {
        afterId = last.id;
        return batch.map(eventText).join('');
      }
      if (ended) return null;
      if (commits !== seen) continue;
      await waitFor(ALIVE_MS, true);
      if (commits === seen && !ended) return ':\n\n';
    }
    return null;
  };

  const pull = async (): Promise<void> => {
    stalled?.cancel();
    let text: string | null;
    try {
      text = await next();
    } catch (thrown) {
      log.warn('An event stream ended because the events could not be read.', { error: messageOf(thrown) });
      text = null;
    }
    if (text === null) end();
    if (ended || text === null) return;
    controller?.enqueue(encoder.encode(text));
    expectTaken();
  };

  const body = new ReadableStream<Uint8Array>(
    {
      start: (given) => {
        controller = given;
        expectTaken();
      },
      pull,
      cancel: gone,
    },
    { highWaterMark: 0 },
  );
  return { body, end };
}

/** The first words make headers and connection show at once; the gap, where there is one, comes before any event. */
function greetingText({ afterId, gap }: StartPlace): string {
  const retry = `retry: ${RETRY_MS}\n\n`;
  return gap === null ? retry : `${retry}id: ${afterId}\nevent: gap\ndata: ${JSON.stringify(gap)}\n\n`;
}

/** JSON has no line breaks outside its strings and escapes those within: it fits one `data` line. */
const eventText = (event: StoredEvent): string => `id: ${event.id}\nevent: ${event.event}\ndata: ${eventJson(event)}\n\n`;
