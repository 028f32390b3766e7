/** Routes for the live output of a task: a page of it, and waiting for more. */
import { isTaskId, type Generation, type TaskId } from '../../../core/domain/ids.ts';
import { isEnded, type Task } from '../../../core/domain/task/task.ts';
import type { OutputStream } from '../../../core/domain/assignment/output-stream.ts';
import type { StoredOutput } from '../../../core/ports/output-store.ts';
import { outputSchema, outputWaitSchema } from '../../../core/protocol/http-queries.ts';
import type { HttpApiDeps } from '../deps.ts';
import { pageLimit, queryReader } from '../query.ts';
import { invalid, ok, refused, read, type Read } from '../reply.ts';
import { ownerOf, type Handlers } from '../request.ts';
import type { ReadTurns } from '../turns/read-turns.ts';
import { sharedPlaces } from './shared-places.ts';
import { maySee, unknownTask } from './task-endpoints.ts';

/** How long a request waits by default, and at most. Milliseconds. */
const WAIT_MS = { default: 25_000, max: 60_000 };
/** A program may print its last lines after its result was reported. This is how long they are awaited after the end of the task. */
const LAST_OUTPUT_MS = 1_000;
/** The poll interval on a store that other hubs write to: their writes do not wake the waiting requests here. Milliseconds. */
const SHARED_STORE_MS = 1_000;

export function taskOutputHandlers(deps: HttpApiDeps, reads: ReadTurns): Pick<Handlers, 'taskOutput' | 'waitForOutput'> {
  const { tasks, output, outputWriter, clock, limits } = deps;
  const readPage = queryReader(outputSchema);
  const readWait = queryReader(outputWaitSchema);
  const waits = sharedPlaces(limits.streams, 'waits for output');

  /** Milliseconds until no more output is expected; null while the task has not ended. At 0, everything that has arrived is stored. */
  const endsInMs = async (task: Task | undefined): Promise<number | null> => {
    if (task !== undefined && !isEnded(task)) return null;
    const leftMs = task === undefined ? 0 : Math.max(0, task.updatedAtMs + LAST_OUTPUT_MS - clock.nowMs());
    if (leftMs === 0) await outputWriter.flush();
    return Math.min(leftMs, LAST_OUTPUT_MS);
  };
  const hasMore = async (taskId: TaskId, after: number): Promise<boolean> =>
    (await output.read({ taskId, after, limit: 1 })).chunks.length > 0;

  /** Begins at once: whatever changes while the store is read is not missed. */
  const nextChange = (taskId: TaskId): { within(ms: number): Promise<void>; cancel(): void } => {
    let done: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => (done = resolve));
    const cancel = outputWriter.onOutput(taskId, () => done());
    return {
      /** Resolves when there may be new output, or the task may have ended, and at the latest after `ms`. */
      async within(ms) {
        const timer = clock.after(ms, () => done());
        await arrived;
        timer.cancel();
      },
      cancel,
    };
  };

  return {
    async taskOutput(request, by) {
      const query = readPage(request.query());
      if (query.kind === 'refused') return query.reply;
      const { after = '0', generation, stream, search } = query.value;
      const limit = pageLimit(query.value.limit, limits.page);
      if (limit.kind === 'refused') return limit.reply;
      const id = request.params['id'];
      const [task] = isTaskId(id) ? await tasks.peek([id]) : [];
      if (task === undefined || !maySee(by, task)) return unknownTask;
      const { chunks, more } = await output.read({ taskId: task.id, after: Number(after), limit: limit.value });
      const wanted = chunks.filter(filterOf({ generation, stream, search }));
      return ok({ output: wanted.map(chunkJson), next_after: chunks.at(-1)?.n ?? Number(after), more, kept: outputWriter.kept });
    },

    async waitForOutput(request, by) {
      const query = readWait(request.query());
      if (query.kind === 'refused') return query.reply;
      const waitMs = waitTime(query.value.wait_ms);
      if (waitMs.kind === 'refused') return waitMs.reply;
      const id = request.params['id'];
      if (!isTaskId(id)) return unknownTask;
      const place = waits.take(by.id);
      if (place.kind === 'refused') return place.reply;
      const after = Number(query.value.after ?? '0');
      const untilMs = clock.monotonicMs() + waitMs.value;
      try {
        for (let isKnown = false; ; isKnown = true) {
          const next = nextChange(id);
          try {
            const state = await reads.run(ownerOf(by), async () => {
              const [task] = await tasks.peek([id]);
              if (!isKnown && (task === undefined || !maySee(by, task))) return null;
              const endMs = await endsInMs(task);
              return { endMs, more: await hasMore(id, after) };
            });
            if (state === null) return unknownTask;
            const { endMs, more } = state;
            const leftMs = Math.max(0, untilMs - clock.monotonicMs());
            if (more || endMs === 0 || leftMs === 0) return ok({ more, ended: endMs === 0 });
            await next.within(Math.min(leftMs, endMs ?? leftMs, deps.isShared ? SHARED_STORE_MS : leftMs));
          } finally {
            next.cancel();
          }
        }
      } finally {
        place.value();
      }
    },
  };
}

function waitTime(text: string | undefined): Read<number> {
  const ms = text === undefined ? WAIT_MS.default : Number(text);
  if (ms <= WAIT_MS.max) return read(ms);
  return refused(invalid([{ field: 'wait_ms', error: 'maximum', detail: `must be at most ${WAIT_MS.max}` }]));
}

interface Filter {
  readonly generation?: string | undefined;
  readonly stream?: OutputStream | undefined;
  readonly search?: string | undefined;
}

function filterOf({ generation, stream, search }: Filter): (chunk: StoredOutput) => boolean {
  const wanted = generation === undefined ? undefined : (Number(generation) as Generation);
  const text = search?.toLowerCase();
  return (chunk) =>
    (wanted === undefined || chunk.generation === wanted) &&
    (stream === undefined || chunk.stream === stream) &&
    (text === undefined || chunk.text.toLowerCase().includes(text));
}

const chunkJson = ({ n, generation, agentId, atMs, stream, text, seq, dropped }: StoredOutput) => ({
  n,
  generation,
  agent_id: agentId,
  timestamp: atMs,
  stream,
  text,
  seq,
  dropped,
});
