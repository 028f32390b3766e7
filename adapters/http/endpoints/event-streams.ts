/** Opens streams of events: who may follow what, from which place, and how many at once. */
import type { EventName } from '../../../core/domain/task/event.ts';
import type { EventFilter, EventMarks } from '../../../core/ports/event-feed.ts';
import type { ByteStream } from '../../../core/ports/http.ts';
import { eventsSchema } from '../../../core/protocol/http-queries.ts';
import type { Principal } from '../authenticate.ts';
import type { HttpApiDeps } from '../deps.ts';
import { eventStream, type StartPlace } from './event-stream.ts';
import { queryReader } from '../query.ts';
import { invalid, read, refusal, refused, type Read, type Reply } from '../reply.ts';
import type { ApiRequest, Handler } from '../request.ts';

export interface EventStreams {
  readonly open: Handler;
  /** Ends all of them. */
  close(): void;
}

export function eventStreams(deps: HttpApiDeps): EventStreams {
  const { events, tasks, limits } = deps;
  const readQuery = queryReader(eventsSchema);
  const streams = new Set<ByteStream>();
  /** Counted from before the first await of an opening, so that many at once do not pass the bound together. */
  let openCount = 0;

  const start = async (request: ApiRequest, by: Principal): Promise<Read<{ readonly place: StartPlace; readonly filter: EventFilter }>> => {
    const query = readQuery(request.query());
    if (query.kind === 'refused') return query;
    const filter: EventFilter = {
      taskId: query.value.task_id,
      agentId: query.value.agent_id,
      event: query.value.type as EventName | undefined,
    };
    const lastId = lastEventId(request);
    if (lastId.kind === 'refused') return lastId;
    if (by.role === 'submitter') {
      if (filter.taskId === undefined)
        return refused(refusal('forbidden', 'A submitter can only follow one of its own tasks: pass task_id.'));
      const [task] = await tasks.peek([filter.taskId]);
      if (task?.submittedBy !== by.id) return refused(refusal('unknown_task', 'There is no such task.'));
    }
    const place = startPlace(lastId.value, await events.marks());
    // The events of one task go together: who asks for all of one that is there misses none.
    const isWhole =
      lastId.value === 0 && place.gap !== null && filter.taskId !== undefined && (await tasks.peek([filter.taskId])).length > 0;
    return read({ place: isWhole ? { ...place, gap: null } : place, filter });
  };

  const open = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    if (request.method === 'HEAD') return refusal('method_not_allowed', 'Allowed: GET.', { headers: { allow: 'GET' } });
    if (openCount >= limits.streams) return refusal('hub_busy', `All ${limits.streams} event streams of the hub are in use.`);
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
      const stream = eventStream(deps, by, started.value, () => {
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

function lastEventId(request: ApiRequest): Read<number | null> {
  const text = request.header('last-event-id') ?? '';
  if (text === '') return read(null);
  const id = /^[0-9]{1,16}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(id)) return read(id);
  return refused(invalid([{ field: 'Last-Event-ID', error: 'pattern', detail: 'must be the ID of an event' }]));
}

/**
 * Without a last id from now on. Below what was removed, or above every number that there is (another store, or an older state of
 * this one), the stream has a gap, and goes on with what there is.
 */
function startPlace(lastId: number | null, { lastId: keptId, removedId }: EventMarks): StartPlace {
  const end = Math.max(keptId, removedId);
  if (lastId === null) return { afterId: end, removedId, gap: null };
  if (lastId > end) return { afterId: end, removedId, gap: { from: end + 1, to: lastId } };
  if (lastId >= removedId) return { afterId: lastId, removedId, gap: null };
  // Events that are kept may stand among those that are not.
  return { afterId: lastId < keptId ? lastId : removedId, removedId, gap: { from: lastId + 1, to: removedId } };
}
