/** Tasks: submit, read, control and watch them. */
import type { AgentPresence } from '../../core/domain/agent/agent.ts';
import type { Priority, Status } from '../../core/domain/task/task.ts';
import { IDEMPOTENCY_KEY_CHARACTERS_MAX, IDEMPOTENCY_KEY_WANTED, isIdempotencyKey } from '../../core/domain/task/idempotency-key.ts';
import { traceContextOf } from '../../core/domain/task/trace-context.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { isEndedStatus, type EndedStatus } from './ended-status.ts';
import type { SignTask } from '../signing/signing-options.ts';
import type { EventsClient, EventsOptions } from './events.ts';
import { pathTo, type Call, type Requester } from './api-request.ts';
import { onAbort } from './platform.ts';
import { checkMs, OUTAGE_MAX_MS, pause, spread, TIMER_MS_MAX, Waits } from './retries.ts';
import { signedBody, signedLines, signedPush } from './signed-bodies.ts';
import { submitBatcher } from './submit-batcher.ts';
import type {
  ActAnswer,
  AdoptRequest,
  KeptResultJson,
  ListQuery,
  NumberedEntry,
  OutputChunkJson,
  OutputPage,
  OutputQuery,
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

/** Events on one page of a history. */
const HISTORY_PAGE_EVENTS = 500;
/**
 * Events after which a task may have ended. Only its status is conclusive: a dead-lettered task may have been retried since, and a gap may
 * hide an end.
 */
const MAY_END: ReadonlySet<string> = new Set(['completed', 'cancelled', 'dead_lettered', 'gap']);

/** A task that has ended, with the newest events of its history. */
export type EndedTask = TaskDetail & { readonly status: EndedStatus };
/** How to follow one task. */
export type WatchOptions = Pick<EventsOptions, 'signal' | 'onReconnect' | 'giveUpAfterMs' | 'idleMs'>;
/** What goes with a submit, besides the task. */
export interface SubmitOptions {
  /** Default: a random one, which makes the retries of this call safe. That of a single task becomes its ID. */
  readonly idempotencyKey?: string | undefined;
  /**
   * The trace that the task belongs to, by W3C Trace Context: handed to its agent as TRACEPARENT and TRACESTATE. An invalid one is ignored.
   */
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
  /** Signs the tasks. Default: `signWith` of the connection. */
  readonly signWith?: SignTask | undefined;
  /** Called if the hub already knew the key: the tasks that it answers with were created by an earlier request. */
  readonly onRepeated?: (() => void) | undefined;
}
interface OutputWaitResult {
  readonly more: boolean;
  readonly ended: boolean;
}
interface SubmittedTasks {
  readonly task_ids: readonly string[];
}
/** `timeoutMs`: how long to wait, up to 24 days. Default: as long as it takes. */
export type WaitOptions = WatchOptions & { readonly timeoutMs?: number | undefined };

const TASK_ID_PREFIX = 'task-';

/** The status of a submit whose key was already known; otherwise it is 201. */
const REPEATED_STATUS = 200;

/** How many tasks are in each status, and more. The client reads none of it; the hub may send more. */
export interface TaskStats extends Readonly<Record<Status, number>> {
  readonly queued_by_priority: Readonly<Record<Priority, number>>;
  /** When the task that has waited longest could first have been assigned; null: none waits. */
  readonly oldest_ready: Readonly<Record<Priority, number | null>>;
  readonly agents: Readonly<Record<AgentPresence, number>>;
  /** What this hub has refused since it started, by reason. */
  readonly refused: Readonly<Record<'frames' | 'sockets' | 'requests', Readonly<Record<string, number>>>>;
  readonly [more: string]: unknown;
}

/** The routes of tasks. */
export interface TasksClient {
  /**
   * Submits a task. Retried: the same key returns the same task as long as the hub remembers the key. The same key with a different body
   * throws `AC_API` with `idempotency_mismatch`. `options`: a string is the key.
   */
  submit(body: SubmitRequest, options?: SubmitOptions | string): Promise<SubmittedTask>;
  /**
   * Submits all tasks or none; returns their IDs in the same order. A string is sent unchanged: one JSON object per line. Retried, like
   * `submit`.
   */
  submitMany(bodies: readonly SubmitRequest[] | string, options?: SubmitOptions | string): Promise<SubmittedTasks>;
  /** Submits an urgent task for one connected agent. Not retried once it was sent. */
  push(body: PushRequest): Promise<PushAnswer>;
  /** A task with the newest events of its history. Retried, for `retryWithinMs` if given. Rejects if `signal` is aborted. */
  get(taskId: string, options?: Pick<Call, 'retryWithinMs' | 'signal'>): Promise<TaskDetail>;
  /** A page of tasks, newest first; `next_cursor` gives the next page. Retried. */
  list(query?: ListQuery): Promise<Page<'tasks', TaskJson>>;
  /** A page of the dead-letter queue. Retried. */
  deadLetters(query?: PageQuery): Promise<Page<'tasks', TaskJson>>;
  /** The number of tasks by status and priority, and of agents by status. Retried. */
  stats(): Promise<TaskStats>;
  /** A page of the history of a task: the newest events, those before a number, or those after one. Retried. */
  events(taskId: string, query?: TaskEventsQuery): Promise<TaskEventsPage>;
  /** The whole history of a task, oldest first, read page by page. Retried. */
  history(taskId: string): AsyncGenerator<NumberedEntry, void>;
  /** A page of what its agents printed, oldest first. Retried. */
  output(taskId: string, query?: OutputQuery): Promise<OutputPage>;
  /** Waits until there is output after that position, or the task has ended, or 25 seconds have passed. Retried. */
  waitForOutput(taskId: string, after: number, signal?: AbortSignal): Promise<OutputWaitResult>;
  /**
   * Yields what its agents printed, and then what they print until the task has ended or `signal` is aborted. Continues after dropped
   * connections and hub restarts; throws if the hub cannot be reached for five minutes.
   */
  followOutput(taskId: string, query?: Omit<OutputQuery, 'limit'>, signal?: AbortSignal): AsyncGenerator<OutputChunkJson, void>;
  /** A late or refused result. `agentId` is required if several agents have one of that generation. Retried. */
  keptResult(taskId: string, generation: number, agentId?: string): Promise<KeptResultJson>;
  /** Cancels a task and stops its agent. Not retried once it was sent, because a repeat may be refused with 409. */
  cancel(taskId: string): Promise<ActAnswer>;
  /** Requeues a dead-lettered or parked task. Not retried once it was sent, like `cancel`. */
  retry(taskId: string): Promise<ActAnswer>;
  /** Completes a task with a late result. Not retried once it was sent, like `cancel`. */
  adopt(taskId: string, body: AdoptRequest): Promise<ActAnswer>;
  /**
   * Yields the events of a task since its submit, each once, even if connections drop. Returns the task once it has ended, or null if `signal`
   * was aborted first; the task itself continues.
   */
  watch(taskId: string, options?: WatchOptions): AsyncGenerator<StreamEvent, EndedTask | null>;
  /**
   * Waits until the task has ended, whatever its `status`: on the event stream, unless it has ended already. Null if `signal` was aborted or
   * `timeoutMs` have passed first; the task itself continues. Survives what `watch` survives.
   */
  wait(taskId: string, options?: WaitOptions): Promise<EndedTask | null>;
}

export interface TasksClientParts {
  readonly newKey: () => string;
  readonly signWith: SignTask | undefined;
}

export function tasksClient({ get, postOnce, request }: Requester, followEvents: EventsClient, parts: TasksClientParts): TasksClient {
  const { newKey } = parts;
  /** The key of several tasks names none of them. */
  const newBulkKey = (): string => newKey().slice(TASK_ID_PREFIX.length);
  const path = (taskId: string, more = ''): string => `${pathTo('/api/tasks', taskId)}${more}`;
  const keyed = (options: SubmitOptions | string = {}, makeKey = newKey) => {
    const given: SubmitOptions = typeof options === 'string' ? { idempotencyKey: options } : options;
    const trace = traceContextOf(given.traceparent, given.tracestate);
    const { onRepeated } = given;
    const onStatus = onRepeated === undefined ? undefined : (status: number): void => void (status === REPEATED_STATUS && onRepeated());
    const headers = { 'idempotency-key': checkedKey(given.idempotencyKey ?? makeKey()), ...trace };
    return { method: 'POST', headers, idempotent: true, onStatus } as const;
  };
  const signerOf = (options: SubmitOptions | string | undefined): SignTask | undefined =>
    (typeof options === 'object' ? options.signWith : undefined) ?? parts.signWith;
  const submitTogether = submitBatcher({ request });
  const outputWait = (taskId: string, after: number): Call => ({
    method: 'GET',
    path: path(taskId, '/output/wait'),
    query: { after },
    idempotent: true,
    isHeld: true,
  });
  /** Null if the task has not ended, or if the signal was aborted. */
  const endedTask = async (taskId: string, { giveUpAfterMs = OUTAGE_MAX_MS, signal }: WatchOptions): Promise<EndedTask | null> => {
    const call = { method: 'GET', path: path(taskId), idempotent: true, retryWithinMs: giveUpAfterMs, signal } as const;
    const task = await unlessAborted(request<TaskDetail>(call), signal);
    return task !== null && isEndedStatus(task.status) ? { ...task, status: task.status } : null;
  };
  const tasks: TasksClient = {
    async submit(body, options) {
      const { headers, onStatus } = keyed(options);
      const sign = signerOf(options);
      if (sign === undefined) return submitTogether({ body, headers, onStatus });
      return signedBody(body, sign).then((signed) => submitTogether({ body: signed, headers, onStatus }));
    },
    async submitMany(bodies, options) {
      const call = { ...keyed(options, newBulkKey), path: '/api/tasks/bulk' };
      const send = (content: string) => request<SubmittedTasks>({ ...call, text: { type: 'application/x-ndjson', content } });
      const lines = typeof bodies === 'string' ? bodies : bodies.map((body) => JSON.stringify(body) ?? 'null').join('\n');
      const sign = signerOf(options);
      return sign === undefined ? send(lines) : signedLines(lines, sign).then(send);
    },
    push: async (body) => postOnce('/api/admin/push-task', parts.signWith === undefined ? body : await signedPush(body, parts.signWith)),
    get: (taskId, options) => request({ method: 'GET', path: path(taskId), idempotent: true, ...options }),
    list: (query) => get('/api/tasks', query),
    deadLetters: (query) => get('/api/tasks/dead-letter', query),
    stats: () => get('/api/tasks/stats'),
    events: (taskId, query) => get(path(taskId, '/events'), query),
    async *history(taskId) {
      for (let after: number | null = 0; after !== null;) {
        const page: TaskEventsPage = await get(path(taskId, '/events'), { after, limit: HISTORY_PAGE_EVENTS });
        yield* listIn(page, 'events', path(taskId, '/events'));
        after = page.after;
      }
    },
    output: (taskId, query) => get(path(taskId, '/output'), query),
    waitForOutput: (taskId, after, signal) => request({ ...outputWait(taskId, after), signal }),
    async *followOutput(taskId, query = {}, signal) {
      const read = <T>(call: Call): Promise<T | null> =>
        unlessAborted(request<T>({ ...call, retryWithinMs: OUTAGE_MAX_MS, signal }), signal);
      for (let after = query.after ?? 0; signal?.aborted !== true;) {
        const wanted = { ...query, after };
        const page = await read<OutputPage>({ method: 'GET', path: path(taskId, '/output'), query: wanted, idempotent: true });
        if (page === null && isAborted(signal)) return;
        yield* listIn(page, 'output', path(taskId, '/output'));
        after = page?.next_after ?? after;
        if (page?.more === true) continue;
        const next = await read<OutputWaitResult>(outputWait(taskId, after));
        if (next === null || (next.ended && !next.more)) return;
      }
    },
    keptResult: (taskId, generation, agentId) =>
      get(path(taskId, `/results/${generation}`), agentId === undefined ? {} : { agent_id: agentId }),
    cancel: (taskId) => postOnce(path(taskId, '/cancel')),
    retry: (taskId) => postOnce(path(taskId, '/retry')),
    adopt: (taskId, body) => postOnce(path(taskId, '/adopt'), body),
    async *watch(taskId, options = {}) {
      for await (const event of followEvents({ ...options, taskId, lastEventId: '0' })) {
        yield event;
        if (!MAY_END.has(event.event)) continue;
        const task = await endedTask(taskId, options);
        if (task !== null) return task;
      }
      return null;
    },
    async wait(taskId, { timeoutMs, ...given } = {}) {
      const time = timeLimit(timeoutMs, given.signal);
      const options = { ...given, signal: time.signal };
      const waits = new Waits();
      try {
        // The hub opens no stream for a task that has ended. Nothing is missed: it checks that whenever the stream opens.
        for (let start: EventsOptions = { unlessEnded: true }; ;) {
          try {
            for await (const { event } of followEvents({ ...options, ...start, taskId })) {
              const task = MAY_END.has(event) ? await endedTask(taskId, options) : null;
              if (task !== null) return task;
            }
            return null;
          } catch (thrown) {
            const refused = AgentcomError.is(thrown) ? thrown.details?.['error'] : undefined;
            // An older hub does not know the condition.
            if (refused === 'validation_failed' && start.unlessEnded === true) start = { lastEventId: '0' };
            else if (refused !== 'invalid_state') throw thrown;
          }
          const task = await endedTask(taskId, options);
          if (task !== null || isAborted(options.signal)) return task;
          // It has been retried since, or what answers contradicts itself.
          await unlessAborted(pause(spread(waits.next()), options.signal), options.signal);
        }
      } finally {
        time.end();
      }
    },
  };
  return tasks;
}

const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

/** The rows of a page. Throws `AC_API` if it has none: something else than a hub may answer with JSON, too. */
function listIn<Name extends string, Row>(
  page: { readonly [key in Name]: readonly Row[] } | null,
  name: Name,
  path: string,
): readonly Row[] {
  const rows: unknown = page?.[name];
  if (Array.isArray(rows)) return rows as readonly Row[];
  const found = rows === undefined ? 'an answer without it' : typeof rows;
  throw new AgentcomError('AC_API', `GET ${path}: expected the list "${name}", found ${found}. Is that the address of an AgentCom hub?`);
}

/** Null if it failed because `signal` was aborted. */
const unlessAborted = <T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T | null> =>
  answer.catch((thrown: unknown) => {
    if (signal?.aborted === true) return null;
    throw thrown;
  });

function checkedKey(key: string): string {
  if (isIdempotencyKey(key)) return key;
  const found = key.length > IDEMPOTENCY_KEY_CHARACTERS_MAX ? `${key.length} characters` : JSON.stringify(key);
  throw new AgentcomError('AC_USAGE', `Idempotency-Key must be ${IDEMPOTENCY_KEY_WANTED}; found ${found}.`);
}

/** A signal that is aborted with `outer`, or after `timeoutMs`. */
function timeLimit(
  timeoutMs: number | undefined,
  outer: AbortSignal | undefined,
): { readonly signal: AbortSignal | undefined; end(): void } {
  if (timeoutMs === undefined) return { signal: outer, end: () => undefined };
  checkMs('timeoutMs', timeoutMs, [0, TIMER_MS_MAX]);
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timeoutMs);
  const unlink = onAbort(outer, (reason) => controller.abort(reason));
  const end = (): void => {
    clearTimeout(timer);
    unlink();
  };
  return { signal: controller.signal, end };
}
