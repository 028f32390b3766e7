/**
 * The process that submits to a queue, or the one that works: controlled by the measuring process (`participants.ts`),
 * one command at a time. Times are milliseconds of the machine's monotonic clock, which all of its processes share.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Payload, Queue, QueueModule, QueueWorker } from './queues/queue.ts';

export interface SubmitPlan {
  readonly first: number;
  readonly count: number;
  readonly how:
    /** Always this many submits in flight. */
    | { readonly inFlight: number }
    /** So many tasks a request, one request at a time. */
    | { readonly perRequest: number }
    /** So many in a second, whoever answers. */
    | { readonly perSecond: number };
}

/** For each request: when it was due or sent, and when it was answered. */
export interface Submitted {
  readonly sentMs: Float64Array;
  readonly answeredMs: Float64Array;
}

/** The tasks that a worker is to complete. */
export interface Window {
  readonly first: number;
  readonly count: number;
}

const PADDING = 'x'.repeat(120);
const payloadOf = (n: number): Payload => ({ i: n, kind: 'noop', tenant: 'acme', at: 1_700_000_000_000 + n, pad: PADDING });

const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

let opened: Queue | null = null;
let working: Work | null = null;

interface Work extends Window {
  readonly worker: QueueWorker;
  /** For each task of the window; 0 until it is completed. */
  readonly completedMs: Float64Array;
  completed: number;
  /** Called with each completion. */
  onCompletion: () => void;
}

function queue(): Queue {
  if (opened === null) throw new Error('no queue is open');
  return opened;
}

function work(): Work {
  if (working === null) throw new Error('no worker runs');
  return working;
}

async function submit({ first, count, how }: SubmitPlan): Promise<Submitted> {
  const perRequest = 'perRequest' in how ? how.perRequest : 1;
  const requests = Math.ceil(count / perRequest);
  const [sentMs, answeredMs] = [new Float64Array(requests), new Float64Array(requests)];
  const send = async (request: number, dueMs: number): Promise<void> => {
    const from = first + request * perRequest;
    sentMs[request] = dueMs;
    await (perRequest === 1 ? queue().submit(from) : queue().submitMany(from, Math.min(perRequest, first + count - from)));
    answeredMs[request] = nowMs();
  };
  if ('perSecond' in how) {
    await paced(requests, how.perSecond, send);
  } else {
    let next = 0;
    const line = async (): Promise<void> => {
      while (next < requests) await send(next++, nowMs());
    };
    await Promise.all(Array.from({ length: 'inFlight' in how ? how.inFlight : 1 }, line));
  }
  return { sentMs, answeredMs };
}

/** Each at its time from the first on; those whose time has passed during a sleep are sent at once. */
async function paced(requests: number, perSecond: number, send: (request: number, dueMs: number) => Promise<void>): Promise<void> {
  const beganMs = nowMs();
  const sent: Promise<void>[] = [];
  while (sent.length < requests) {
    const dueMs = beganMs + (sent.length * 1_000) / perSecond;
    const early = dueMs - nowMs();
    if (early > 0) await sleep(early);
    else sent.push(send(sent.length, dueMs));
  }
  await Promise.all(sent);
}

/** Starts the worker, and returns when: its connecting is part of what is measured. */
async function start({ first, count }: Window): Promise<number> {
  const completedMs = new Float64Array(count);
  const worker = await queue().worker((n) => {
    if (completedMs[n - first] !== 0) throw new Error(`task ${n} was completed twice, or is not one of ${first} to ${first + count}`);
    completedMs[n - first] = nowMs();
    mine.completed += 1;
    mine.onCompletion();
  });
  const mine: Work = { first, count, worker, completedMs, completed: 0, onCompletion: () => undefined };
  working = mine;
  const startedMs = nowMs();
  await worker.run();
  return startedMs;
}

/** Resolves once `isReached`. */
function completions(isReached: (work: Work) => boolean): Promise<void> {
  const current = work();
  return new Promise((resolve) => {
    current.onCompletion = () => {
      if (isReached(current)) resolve();
    };
    current.onCompletion();
  });
}

/** All its commands. */
const WORK = {
  async open({ module, settings }: { readonly module: string; readonly settings: unknown }): Promise<void> {
    opened = await ((await import(module)) as QueueModule<unknown>).open(settings, payloadOf);
  },
  submit,
  start,
  /** Resolves to when each task was completed, as soon as all are. */
  async all(_: undefined): Promise<Float64Array> {
    await completions(({ completed, count }) => completed === count);
    return work().completedMs;
  },
  /** Resolves to when task `n` was completed, as soon as it is. */
  async one({ n }: { readonly n: number }): Promise<number> {
    await completions(({ completedMs, first }) => completedMs[n - first] !== 0);
    return work().completedMs[n - work().first] ?? 0;
  },
  async stop(_: undefined): Promise<void> {
    await work().worker.stop();
    working = null;
  },
  counts: (_: undefined) => queue().counts(),
  close: (_: undefined) => queue().close(),
};

export type ParticipantWork = typeof WORK;

export interface ParticipantRequest {
  readonly work: keyof ParticipantWork;
  readonly plan: unknown;
}

export type ParticipantResponse = { readonly kind: 'done'; readonly value: unknown } | { readonly kind: 'failed'; readonly error: string };

process.on('message', (message) => void answer(message as ParticipantRequest));
process.once('disconnect', () => process.exit(0));

async function answer({ work, plan }: ParticipantRequest): Promise<void> {
  const response: ParticipantResponse = await (WORK[work] as (plan: unknown) => Promise<unknown>)(plan).then(
    (value) => ({ kind: 'done', value }),
    (thrown: unknown) => ({ kind: 'failed', error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) }),
  );
  process.send?.(response);
}
