/**
 * Batches submits that are made while a request is in flight: a request with many submits costs the hub and this process little more than a
 * request with one. Transparent to the caller: each submit has its own key, its own answer and its own refusal, and a failed request is retried
 * as a whole, which the keys make safe.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { refusalError, type Call, type Requester } from './api-request.ts';
import type { SubmitRequest, SubmittedTask } from './types.ts';

/** The size of a batch: at most this many submits, and no more are added once they have this many characters. */
const BATCH_MAX = 256;
const BATCH_CHARACTERS_MAX = 262_144;
/** A longer submit is sent alone: a hub refuses a whole request because of one line that is too long. */
const LINE_CHARACTERS_MAX = 65_536;
/** The longest that a submit waits for others, milliseconds. */
const AGE_MAX_MS = 1;
/**
 * With this many requests in flight, submits wait for one to be answered, but at most `BUSY_AGE_MAX_MS` milliseconds. A busy hub takes new
 * submits between two commits: more requests would not get them there sooner, and each request costs both sides as much as several submits.
 */
const REQUESTS_AT_ONCE = 2;
const BUSY_AGE_MAX_MS = 10;
/**
 * With no request in flight, at least this many submits are sent as two requests: the hub decides the second half while saving the first, and
 * this process makes the next submits of one half while the hub works on the other. A hub overlaps two commits only if the second has at least
 * 32.
 */
const HALVED_FROM = 64;
/** Runs `work` after everything else in this turn of the event loop. */
const soon: (work: () => void) => void = typeof setImmediate === 'function' ? setImmediate : queueMicrotask;
/** Statuses after which the submits of a batch are sent one by one: from an older hub, or one that refuses a line. */
const REFUSES_BATCH: ReadonlySet<unknown> = new Set([400, 404, 405, 413, 415]);

/** A submit; `headers` are those of `POST /api/tasks`. */
export interface Submission {
  readonly body: SubmitRequest;
  readonly headers: { readonly 'idempotency-key': string; readonly traceparent?: string; readonly tracestate?: string };
  /** Like `onStatus` of a `Call`. */
  readonly onStatus?: ((status: number) => void) | undefined;
}

interface Waiting extends Omit<Submission, 'body'> {
  /** The task as JSON text, as it was when submitted: the caller may change the object later. */
  readonly task: string;
  /** The task with its headers, as a line of a batch. */
  readonly line: string;
  resolve(task: SubmittedTask): void;
  reject(error: unknown): void;
}

interface BatchAnswer {
  readonly answers: readonly { readonly status: number; readonly body: Readonly<Record<string, unknown>> }[];
}

export function submitBatcher({ request }: Pick<Requester, 'request'>): (submission: Submission) => Promise<SubmittedTask> {
  let waiting: Waiting[] = [];
  let characters = 0;
  let onTheWay = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isScheduled = false;
  /** Whether the hub knows batches: an older hub knows only single submits. */
  let isKnown = true;

  /** Counts the request as done before its callers get their answers, so that a submit that follows immediately does not wait for others. */
  const counted = <T>(call: Call): Promise<T> => {
    onTheWay += 1;
    return request<T>(call).finally(() => {
      onTheWay -= 1;
      schedule();
    });
  };

  const single = ({ task, headers, onStatus }: Pick<Waiting, 'task' | 'headers' | 'onStatus'>): Promise<SubmittedTask> => {
    const text = { type: 'application/json', content: task };
    return counted<SubmittedTask>({ method: 'POST', path: '/api/tasks', text, headers, idempotent: true, onStatus });
  };

  const sendSingly = async (batch: readonly Waiting[]): Promise<void> => {
    await Promise.all(batch.map((one) => single(one).then(one.resolve, one.reject)));
  };

  const send = async (batch: readonly Waiting[]): Promise<void> => {
    const [first] = batch;
    if (first === undefined) return;
    if (batch.length === 1 || !isKnown) return sendSingly(batch);
    const content = batch.map(({ line }) => line).join('\n');
    const call = { method: 'POST', path: '/api/tasks/batch', text: { type: 'application/x-ndjson', content }, idempotent: true } as const;
    let answers: BatchAnswer['answers'];
    try {
      ({ answers } = await counted<BatchAnswer>(call));
      if (!Array.isArray(answers) || answers.length !== batch.length)
        throw new AgentcomError('AC_API', `The hub did not answer each of ${batch.length} submits.`);
    } catch (thrown) {
      const status = AgentcomError.is(thrown, 'AC_API') ? thrown.details?.['status'] : undefined;
      if (status === 404 || status === 405) isKnown = false;
      if (REFUSES_BATCH.has(status)) await sendSingly(batch);
      else for (const one of batch) one.reject(thrown);
      return;
    }
    for (const [place, one] of batch.entries()) settle(one, answers[place] as BatchAnswer['answers'][number]);
  };

  /** A submit that the hub refuses for now is sent again on its own, with the retries of any other request. */
  const settle = (one: Waiting, { status, body }: BatchAnswer['answers'][number]): void => {
    if (status === 429 || status === 503) return void single(one).then(one.resolve, one.reject);
    if (status >= 300) return one.reject(refusalError({ method: 'POST', path: '/api/tasks' }, status, body));
    try {
      one.onStatus?.(status);
      one.resolve(body as unknown as SubmittedTask);
    } catch (thrown) {
      one.reject(thrown); // The caller's `onStatus` threw.
    }
  };

  const flush = (): void => {
    isScheduled = false;
    clearTimeout(timer);
    timer = undefined;
    if (waiting.length === 0) return;
    const batch = waiting;
    waiting = [];
    characters = 0;
    if (onTheWay > 0 || batch.length < HALVED_FROM) return void send(batch);
    const middle = Math.ceil(batch.length / 2);
    void send(batch.slice(0, middle));
    void send(batch.slice(middle));
    return undefined;
  };

  /** Waits for the end of the turn: a caller that was just answered may submit its next task immediately. */
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    soon(flush);
  };

  return (submission) =>
    new Promise((resolve, reject) => {
      const { body, headers, onStatus } = submission;
      const { 'idempotency-key': key, traceparent, tracestate } = headers;
      const task = JSON.stringify(body ?? null);
      const line = `${JSON.stringify({ key, traceparent, tracestate }).slice(0, -1)},"task":${task}}`;
      if (line.length > LINE_CHARACTERS_MAX) return void single({ task, headers, onStatus }).then(resolve, reject);
      waiting.push({ task, headers, onStatus, line, resolve, reject });
      characters += line.length;
      if (waiting.length >= BATCH_MAX || characters >= BATCH_CHARACTERS_MAX) return flush();
      if (onTheWay > 0) timer ??= setTimeout(flush, onTheWay < REQUESTS_AT_ONCE ? AGE_MAX_MS : BUSY_AGE_MAX_MS);
      else schedule();
      return undefined;
    });
}
