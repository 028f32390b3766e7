/** Tasks: submit, read, control and follow them. */
import { randomUUID } from 'node:crypto';
import { isEndedStatus, type EndedStatus } from './ended-status.ts';
import type { EventsClient, EventsOptions } from './events.ts';
import { at, type Requester } from './api-request.ts';
import type {
  ActAnswer,
  AdoptRequest,
  KeptResultJson,
  ListQuery,
  NumberedEntry,
  Page,
  PageQuery,
  PushAnswer,
  PushRequest,
  StreamEvent,
  SubmitRequest,
  SubmittedTask,
  TaskDetail,
  TaskEventsPage,
  TaskEventsQuery,
  TaskJson,
} from './types.ts';

/** Events of one page of a history. */
const HISTORY_PAGE_EVENTS = 500;
/** How long the hub may be away while the end of a watched task is read, milliseconds. */
const END_WITHIN_MS = 120_000;
/** Events after which a task may have ended; a gap may hide one of them. A dead-lettered task may have been retried, so its status decides. */
const MAY_END: ReadonlySet<string> = new Set(['completed', 'cancelled', 'dead_lettered', 'gap']);

export type EndedTask = TaskDetail & { readonly status: EndedStatus };
export type WatchOptions = Pick<EventsOptions, 'signal' | 'onReconnect' | 'giveUpAfterMs' | 'idleMs'>;

export interface TasksClient {
  /**
   * Submits a task. Retried: the same key returns the same task for as long as the hub remembers it; without one a random key makes
   * the retries of this call safe. The same key with another body throws `AC_API` with `idempotency_mismatch`.
   */
  submit(body: SubmitRequest, idempotencyKey?: string): Promise<SubmittedTask>;
  /** Submits all of them or none; IDs in the same order. A string is sent unchanged: one JSON object per line. Retried, as `submit`. */
  submitMany(bodies: readonly SubmitRequest[] | string, idempotencyKey?: string): Promise<{ readonly task_ids: readonly string[] }>;
  /** Submits an urgent task for one connected agent, assigned at once. Not retried once it was sent. */
  push(body: PushRequest): Promise<PushAnswer>;
  /** The task with the newest events of its history. Retried, for `retryWithinMs` if given. */
  get(taskId: string, patience?: { readonly retryWithinMs: number }): Promise<TaskDetail>;
  /** A page of tasks, newest first; `next_cursor` gives the next page. Retried. */
  list(query?: ListQuery): Promise<Page<'tasks', TaskJson>>;
  /** A page of the dead-letter queue. Retried. */
  deadLetters(query?: PageQuery): Promise<Page<'tasks', TaskJson>>;
  /** Numbers of tasks by status and priority, and of agents by status. Retried. */
  stats(): Promise<Readonly<Record<string, unknown>>>;
  /** A page of its history: the newest events, those before a number, or those after one. Retried. */
  events(taskId: string, query?: TaskEventsQuery): Promise<TaskEventsPage>;
  /** The whole history, oldest first, page by page. Retried. */
  history(taskId: string): AsyncGenerator<NumberedEntry, void>;
  /** A complete late or refused result. `agentId`: if several agents have one of that generation. Retried. */
  keptResult(taskId: string, generation: number, agentId?: string): Promise<KeptResultJson>;
  /** Cancels a task and stops its agent. Not retried once it was sent, because the repeat may be refused with 409. */
  cancel(taskId: string): Promise<ActAnswer>;
  /** Requeues a dead-lettered or parked task. Not retried once it was sent, as `cancel`. */
  retry(taskId: string): Promise<ActAnswer>;
  /** Completes a task with a late result. Not retried once it was sent, as `cancel`. */
  adopt(taskId: string, body: AdoptRequest): Promise<ActAnswer>;
  /**
   * Yields the events of a task from its submit on, each once, across dropped connections, and returns the task once it has ended,
   * or null if `signal` was aborted first; the task then continues.
   */
  watch(taskId: string, options?: WatchOptions): AsyncGenerator<StreamEvent, EndedTask | null>;
  /** Waits for the end of the task, whatever its `status` then. Null if `signal` was aborted first. */
  wait(taskId: string, options?: WatchOptions): Promise<EndedTask | null>;
}

export function tasksClient({ read, actOnce, request }: Requester, followEvents: EventsClient): TasksClient {
  const path = (taskId: string, more = ''): string => `${at('/api/tasks', taskId)}${more}`;
  const keyed = (key: string) => ({ method: 'POST', headers: { 'idempotency-key': key }, repeatable: true }) as const;
  const tasks: TasksClient = {
    submit: (body, key = randomUUID()) => request({ ...keyed(key), path: '/api/tasks', body }),
    submitMany(bodies, key = randomUUID()) {
      const content = typeof bodies === 'string' ? bodies : bodies.map((body) => JSON.stringify(body)).join('\n');
      return request({ ...keyed(key), path: '/api/tasks/bulk', text: { type: 'application/x-ndjson', content } });
    },
    push: (body) => actOnce('/api/admin/push-task', body),
    get: (taskId, patience) => request({ method: 'GET', path: path(taskId), repeatable: true, ...patience }),
    list: (query) => read('/api/tasks', query),
    deadLetters: (query) => read('/api/tasks/dead-letter', query),
    stats: () => read('/api/tasks/stats'),
    events: (taskId, query) => read(path(taskId, '/events'), query),
    async *history(taskId) {
      for (let after: number | null = 0; after !== null;) {
        const page: TaskEventsPage = await read(path(taskId, '/events'), { after, limit: HISTORY_PAGE_EVENTS });
        yield* page.events;
        after = page.after;
      }
    },
    keptResult: (taskId, generation, agentId) =>
      read(path(taskId, `/results/${generation}`), agentId === undefined ? {} : { agent_id: agentId }),
    cancel: (taskId) => actOnce(path(taskId, '/cancel')),
    retry: (taskId) => actOnce(path(taskId, '/retry')),
    adopt: (taskId, body) => actOnce(path(taskId, '/adopt'), body),
    async *watch(taskId, options = {}) {
      for await (const event of followEvents({ ...options, taskId, lastEventId: '0' })) {
        yield event;
        if (!MAY_END.has(event.event)) continue;
        const task = await tasks.get(taskId, { retryWithinMs: END_WITHIN_MS });
        const { status } = task;
        if (isEndedStatus(status)) return { ...task, status };
      }
      return null;
    },
    async wait(taskId, options) {
      const watching = tasks.watch(taskId, options);
      for (;;) {
        const step = await watching.next();
        if (step.done === true) return step.value;
      }
    },
  };
  return tasks;
}
