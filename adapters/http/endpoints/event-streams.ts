/** Opens event streams: who may read which events, from which position, and how many streams at once. */
import type { EventName } from '../../../core/domain/task/event.ts';
import { isEnded } from '../../../core/domain/task/task.ts';
import type { EventFilter, EventMarks } from '../../../core/ports/event-feed.ts';
import type { ByteStream } from '../../../core/ports/http.ts';
import { eventsSchema } from '../../../core/protocol/http-queries.ts';
import type { HttpApiDeps } from '../deps.ts';
import { eventStream, type FirstRead, type StreamStart } from './event-stream.ts';
import { EventTail } from './event-tail.ts';
import { queryReader } from '../query.ts';
import { invalid, read, refusal, refused, type Read, type Reply } from '../reply.ts';
import { ownerOf, type ApiRequest, type Caller, type Handler } from '../request.ts';
import type { ReadTurns } from '../turns/read-turns.ts';
import { sharedPlaces } from './shared-places.ts';
import { maySee, unknownTask } from './task-endpoints.ts';

export interface EventStreams {
  readonly open: Handler;
  /** Ends all streams. */
  close(): void;
}

export function eventStreams(deps: HttpApiDeps, reads: ReadTurns): EventStreams {
  const { events, tasks, limits } = deps;
  const readQuery = queryReader(eventsSchema);
  const tail = new EventTail(deps);
  const streams = new Set<ByteStream>();
  const places = sharedPlaces(limits.streams, 'event streams');

  const start = async (
    request: ApiRequest,
    by: Caller,
  ): Promise<Read<{ readonly place: StreamStart; readonly filter: EventFilter; readonly isBehind: boolean }>> => {
    const query = readQuery(request.query());
    if (query.kind === 'refused') return query;
    const filter: EventFilter = {
      taskId: query.value.task_id,
      agentId: query.value.agent_id,
      event: query.value.type as EventName | undefined,
      about: query.value.about as EventFilter['about'],
    };
    const lastId = lastEventId(request);
    if (lastId.kind === 'refused') return lastId;
    if (by.reach === 'own' && filter.taskId === undefined)
      return refused(refusal('forbidden', 'A submitter can only follow one of its own tasks: pass task_id.'));
    // The task after the marks: one that was removed in between would otherwise seem complete.
    const marks = await events.marks();
    const place = streamStart(lastId.value, marks, Number(query.value.last ?? 0));
    const [task] = filter.taskId === undefined ? [] : await tasks.peek([filter.taskId]);
    if (by.reach === 'own' && (task === undefined || !maySee(by, task))) return refused(unknownTask);
    // A task that was removed may still have a gap to report. Without one there is nothing to wait for.
    if (filter.taskId !== undefined && task === undefined && place.gap === null) return refused(unknownTask);
    if (query.value.unless_ended !== undefined && task !== undefined && isEnded(task)) return refused(hasEnded);
    // The events of a task are removed together with it: if the task exists, all its events do.
    const isComplete = lastId.value === 0 && task !== undefined;
    return read({ place: isComplete ? { ...place, gap: null } : place, filter, isBehind: place.afterId < marks.lastId });
  };

  const open = async (request: ApiRequest, by: Caller): Promise<Reply> => {
    if (request.method === 'HEAD') return refusal('method_not_allowed', 'Allowed: GET.', { headers: { allow: 'GET' } });
    // Before the first await, so that concurrent calls cannot exceed the limit together.
    const place = places.take(by.id);
    if (place.kind === 'refused') {
      // To learn that a task has ended, nobody has to wait for a place.
      const turn = request.query().has('unless_ended') ? reads.enter(ownerOf(by)) : null;
      if (turn === null) return place.reply;
      const leave = await turn;
      try {
        const instead = await start(request, by);
        return instead.kind === 'refused' ? instead.reply : place.reply;
      } finally {
        leave();
      }
    }
    const over = place.value;
    try {
      const started = await reads.run(ownerOf(by), () => start(request, by));
      if (started.kind === 'refused') {
        over();
        return started.reply;
      }
      const { isBehind, ...begin } = started.value;
      const firstRead: FirstRead = (first) => (isBehind ? reads.run(ownerOf(by), first) : first());
      const stream = eventStream(deps, tail, by, { ...begin, firstRead }, () => {
        streams.delete(stream);
        over();
      });
      streams.add(stream);
      return { status: 200, body: stream, headers: { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' } };
    } catch (thrown) {
      over();
      throw thrown;
    }
  };

  return {
    open,
    close() {
      for (const stream of [...streams]) stream.cancel();
    },
  };
}

const hasEnded = refusal('invalid_state', 'The task has ended.');

function lastEventId(request: ApiRequest): Read<number | null> {
  const text = request.header('last-event-id') ?? '';
  if (text === '') return read(null);
  const id = /^[0-9]{1,16}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(id)) return read(id);
  return refused(invalid([{ field: 'Last-Event-ID', error: 'pattern', detail: 'must be the ID of an event' }]));
}

/**
 * Without a last id, the stream starts with new events, or `before` events earlier. If the last id is below a removed event, or above every
 * existing id (because it is from another store, or from a newer state of this one before a restore), the stream reports a gap and continues
 * with the existing events.
 */
function streamStart(lastId: number | null, { lastId: keptId, removedId }: EventMarks, before: number): StreamStart {
  const end = Math.max(keptId, removedId);
  if (lastId === null) return { afterId: Math.max(end - before, removedId), removedId, gap: null };
  if (lastId > end) return { afterId: end, removedId, gap: { from: end + 1, to: lastId } };
  if (lastId >= removedId) return { afterId: lastId, removedId, gap: null };
  // Between the removed events there may be others that still exist.
  return { afterId: lastId < keptId ? lastId : removedId, removedId, gap: { from: lastId + 1, to: removedId } };
}
