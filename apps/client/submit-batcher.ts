/**
 * Batches submits that are made in one turn or while two requests are in flight: a request with many submits costs the hub and this process
 * little more than a request with one. Transparent to the caller: each submit has its own key, its own answer and its own refusal, and a
 * failed request is retried as a whole, which the keys make safe. Submits that the hub refuses for now are sent again together.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { refusalError, type Call, type Requester } from './api-request.ts';
import { requestedWaitMs, isTemporaryStatus, Retries } from './retries.ts';
import type { SubmitRequest, SubmittedTask } from './types.ts';

/** The size of a batch: at most this many submits, and no more are added once they have this many characters. */
const BATCH_MAX = 256;
const BATCH_CHARACTERS_MAX = 262_144;
/** A longer submit is sent alone: a hub refuses a whole request because of one line that is too long. */
const LINE_CHARACTERS_MAX = 65_536;
/**
 * With this many requests in flight, submits wait for one to be answered, but at most `AGE_MAX_MS` milliseconds; with fewer, they only wait
 * for the end of the turn. A busy hub takes new submits between two commits: more requests would not get them there sooner, and each request
 * costs both sides as much as several submits.
 */
const REQUESTS_AT_ONCE = 2;
const AGE_MAX_MS = 10;
/**
 * Requests with submits in flight; the others wait here, unsent: a hub refuses more than 20,000 submits or 32 MiB at once, and the time for the
 * answer to a request begins when it is sent. Together these are at most 4,096 submits and 16 MiB.
 */
const REQUESTS_MAX = 16;
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
/** Codes of an older hub, which has no such route; a proxy that answers 404 while the hub restarts sends none. */
const KNOWS_NO_BATCHES: ReadonlySet<unknown> = new Set(['unknown_route', 'method_not_allowed']);

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

/** The submits of one request. */
interface Batch {
  readonly submits: Waiting[];
  characters: number;
  /** Those of an earlier batch in which its submits were refused. */
  readonly retries?: Retries | undefined;
}

const batchOf = (submits: Waiting[], retries?: Retries): Batch => ({ submits, characters: 0, retries });

/** The answer to one line of a batch. */
interface LineAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  /** Seconds. */
  readonly retry_after?: unknown;
}

/** A submit that the hub refused for now. */
interface Refused {
  readonly one: Waiting;
  readonly error: AgentcomError;
}

export function submitBatcher({ request }: Pick<Requester, 'request'>): (submission: Submission) => Promise<SubmittedTask> {
  /** In their order. */
  const unsent: Batch[] = [];
  /** The one of them that takes further submits. */
  let open: Batch | undefined;
  let inFlight = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isScheduled = false;
  /** Whether the hub knows batches: an older hub knows only single submits. */
  let isKnown = true;

  /** Counts the request as done before its callers get their answers, so that a submit that follows immediately does not wait for others. */
  const counted = <T>(call: Call, retries?: Retries): Promise<T> => {
    inFlight += 1;
    return request<T>(call, retries).finally(() => {
      inFlight -= 1;
      schedule();
    });
  };

  const single = ({ task, headers, onStatus }: Waiting, retryWithinMs?: number): Promise<SubmittedTask> => {
    const text = { type: 'application/json', content: task };
    return counted<SubmittedTask>({ method: 'POST', path: '/api/tasks', text, headers, idempotent: true, retryWithinMs, onStatus });
  };

  /** Puts requests before the others: their submits are older. */
  const sendNext = (...batches: readonly Batch[]): void => {
    unsent.unshift(...batches);
    schedule();
  };

  const sendSingly = (batch: readonly Waiting[], retries?: Retries): void => sendNext(...batch.map((one) => batchOf([one], retries)));

  /** Never rejects. */
  const send = async ({ submits: batch, retries: earlier }: Batch): Promise<void> => {
    const [first] = batch;
    if (first === undefined) return;
    if (batch.length === 1) return single(first, earlier?.leftMs()).then(first.resolve, first.reject);
    const retries = earlier ?? new Retries();
    const content = batch.map(({ line }) => line).join('\n');
    const call = { method: 'POST', path: '/api/tasks/batch', text: { type: 'application/x-ndjson', content }, idempotent: true } as const;
    let answers: unknown;
    try {
      answers = (await counted<{ readonly answers?: unknown } | null>(call, retries))?.answers;
      if (!Array.isArray(answers) || answers.length !== batch.length)
        throw new AgentcomError('AC_API', `The hub did not answer each of ${batch.length} submits.`);
    } catch (thrown) {
      const { status, error } = (AgentcomError.is(thrown, 'AC_API') ? thrown.details : undefined) ?? {};
      if (KNOWS_NO_BATCHES.has(error)) isKnown = false;
      if (REFUSES_BATCH.has(status)) sendSingly(batch, earlier);
      else for (const one of batch) one.reject(thrown);
      return;
    }
    let refused: Refused[] | undefined;
    for (const [place, one] of batch.entries()) {
      const answer: unknown = (answers as readonly unknown[])[place];
      if (!isLineAnswer(answer))
        one.reject(new AgentcomError('AC_API', 'The hub answered a submit of a batch without a valid status and body.'));
      else if (isTemporaryStatus(answer.status)) (refused ??= []).push({ one, error: refusalOf(answer) });
      else settle(one, answer);
    }
    if (refused !== undefined) await repeat(refused, retries);
  };

  /**
   * Sends submits that the hub refused for now again, together and in their order, once each of them may be sent. One that may not be sent
   * before the time for retries is over fails immediately, as if it had been sent alone. Never rejects.
   */
  const repeat = async (refused: readonly Refused[], retries: Retries): Promise<void> => {
    const leftMs = retries.leftMs();
    const inTime: Refused[] = [];
    let waitMs: number | undefined;
    for (const each of refused) {
      const { one, error } = each;
      const afterMs = requestedWaitMs(error);
      if (afterMs !== undefined && afterMs > leftMs) {
        one.reject(error);
        continue;
      }
      inTime.push(each);
      if (afterMs !== undefined) waitMs = Math.max(waitMs ?? 0, afterMs);
    }
    const [first] = inTime;
    if (first === undefined) return;
    let mayRepeat: boolean;
    try {
      mayRepeat = await retries.next(first.error.message, waitMs);
    } catch (thrown) {
      for (const { one } of inTime) one.reject(thrown); // The caller's `onRetry` threw.
      return;
    }
    if (!mayRepeat) for (const { one, error } of inTime) one.reject(error);
    else
      sendNext(
        batchOf(
          inTime.map(({ one }) => one),
          retries,
        ),
      );
  };

  const settle = (one: Waiting, answer: LineAnswer): void => {
    const { status, body } = answer;
    if (status >= 300) return one.reject(refusalOf(answer));
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
    while (inFlight < REQUESTS_MAX) {
      const batch = unsent.shift();
      if (batch === undefined) return;
      if (batch === open) open = undefined;
      const { submits, retries } = batch;
      if (!isKnown && submits.length > 1) sendSingly(submits, retries);
      else if (inFlight > 0 || submits.length < HALVED_FROM || retries !== undefined) void send(batch);
      else {
        const middle = Math.ceil(submits.length / 2);
        void send(batchOf(submits.slice(0, middle)));
        void send(batchOf(submits.slice(middle)));
      }
    }
  };

  /** Waits for the end of the turn: a caller that was just answered may submit its next task immediately. */
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    soon(flush);
  };

  /** Adds a submit to the open batch; whether that is full now. */
  const join = (one: Waiting): boolean => {
    if (open === undefined) unsent.push((open = batchOf([])));
    open.submits.push(one);
    open.characters += one.line.length;
    const isFull = open.submits.length >= BATCH_MAX || open.characters >= BATCH_CHARACTERS_MAX;
    if (isFull) open = undefined;
    return isFull;
  };

  return (submission) =>
    new Promise((resolve, reject) => {
      const { body, headers, onStatus } = submission;
      const { 'idempotency-key': key, traceparent, tracestate } = headers;
      const task = JSON.stringify(body ?? null);
      const line = `${JSON.stringify({ key, traceparent, tracestate }).slice(0, -1)},"task":${task}}`;
      const one: Waiting = { task, headers, onStatus, line, resolve, reject };
      const isAlone = line.length > LINE_CHARACTERS_MAX;
      const isFull = !isAlone && join(one);
      if (isAlone) unsent.push(batchOf([one]));
      if (inFlight >= REQUESTS_MAX) return; // Each request that ends makes room for the next.
      if (isFull) flush();
      else if (isAlone || inFlight < REQUESTS_AT_ONCE) schedule();
      else timer ??= setTimeout(flush, AGE_MAX_MS);
    });
}

function isLineAnswer(answer: unknown): answer is LineAnswer {
  if (typeof answer !== 'object' || answer === null) return false;
  const { status, body } = answer as Partial<LineAnswer>;
  return typeof status === 'number' && status >= 200 && typeof body === 'object' && body !== null && !Array.isArray(body);
}

/** The same error as that of a single submit. */
const refusalOf = ({ status, body, retry_after: retryAfter }: LineAnswer): AgentcomError =>
  refusalError({ method: 'POST', path: '/api/tasks' }, { status, body, retryAfter });
