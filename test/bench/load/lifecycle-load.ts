/** Whole lives of tasks, from the submit to the acknowledged completion, submitted and completed by this one process. */
import { setTimeout as sleep } from 'node:timers/promises';
import { lightSidecars, type LightSidecarsPlan } from './light-sidecars.ts';
import { recordTimes, type Spread, type Times } from './spread.ts';
import { numberOf, openSubmitter, type Submitter } from './submit-load.ts';

export interface LifecyclePlan extends LightSidecarsPlan {
  /** Of the submitter. */
  readonly token: string;
  /** Tasks of the run. */
  readonly count: number;
  readonly submit:
    /** Nothing is submitted: at least `count` tasks wait already. */
    | { readonly how: 'waiting' }
    /** Always so many submits on their way. */
    | { readonly how: 'in_flight'; readonly inFlight: number }
    /** The next one when the last is completed. */
    | { readonly how: 'one_at_a_time' }
    /** So many in a second, whoever answers. */
    | { readonly how: 'rate'; readonly perSecond: number };
}

export interface Lived {
  /** From the first submit, or from the connection of the first sidecar, until `count` completions were acknowledged. */
  readonly seconds: number;
  /** From the submit's first byte; empty for tasks that waited before. */
  readonly toAssigned: Spread;
  readonly toCompleted: Spread;
  /** How much later than scheduled each submit of a rate was sent: the delay of this process, not of the hub. */
  readonly late: Spread;
}

/** More submits of a rate wait in line here. */
const RATE_CONNECTIONS = 128;
/** What was assigned while the draining frame was sent has arrived by now. */
const STILL_MS = 100;
const STUCK_MS = 60_000;

export async function live(plan: LifecyclePlan): Promise<Lived> {
  let fail: (error: Error) => void = () => undefined;
  const failure = new Promise<never>((_, reject) => (fail = reject));
  const book = openBook(plan.count, fail);
  const watching = watch(book.completed, fail);
  try {
    return await Promise.race([liveBy(plan, book, fail), failure]);
  } finally {
    clearInterval(watching);
  }
}

async function liveBy(plan: LifecyclePlan, book: Book, fail: (error: Error) => void): Promise<Lived> {
  const { count, submit } = plan;
  const isWaiting = submit.how === 'waiting';
  let beganMs = performance.now();
  const connecting = lightSidecars(plan, {
    onAssigned(taskId, description) {
      // Of a longer queue no more tasks are taken than are to be timed.
      if (book.assigned(taskId, numberOf(description)) === count && isWaiting) void connecting.then((sidecars) => sidecars.drain());
    },
    onCompleted: book.complete,
    onFailure: fail,
  });
  const sidecars = await connecting;
  let submitter: Submitter | null = null;
  if (!isWaiting) {
    const inFlight = submit.how === 'in_flight' ? submit.inFlight : submit.how === 'rate' ? RATE_CONNECTIONS : 1;
    const opened = await openSubmitter({ ports: plan.ports, token: plan.token, inFlight, perRequest: 1, withKeys: false }, fail);
    submitter = opened;
    const send: Send = (n, done) => {
      book.sent(n);
      opened.one(n, done);
    };
    beganMs = performance.now();
    if (submit.how === 'in_flight') keepInFlight(send, count, submit.inFlight);
    else if (submit.how === 'rate') void keepRate(send, count, submit.perSecond, book.late.record);
    else oneAtATime(send, count, book);
  }
  const endMs = await book.all;
  do await sleep(STILL_MS);
  while (book.open() > 0);
  await sidecars.close();
  submitter?.end();
  const { toAssigned, toCompleted, late } = book;
  return { seconds: (endMs - beganMs) / 1_000, toAssigned: toAssigned.spread(), toCompleted: toCompleted.spread(), late: late.spread() };
}

/** The state of the tasks of one run. */
interface Book {
  readonly toAssigned: Times;
  readonly toCompleted: Times;
  readonly late: Times;
  sent(n: number): void;
  /** Returns how many were. */
  assigned(taskId: string, n: number): number;
  complete(taskId: string): void;
  /** Called with each completion, from then on. */
  onComplete(call: () => void): void;
  /** How many are held by sidecars. */
  open(): number;
  completed(): number;
  /** When the wanted number was completed. */
  readonly all: Promise<number>;
}

function openBook(count: number, fail: (error: Error) => void): Book {
  const sentMs = new Map<number, number>();
  const open = new Map<string, number>();
  const [toAssigned, toCompleted] = [recordTimes(), recordTimes()];
  let assigned = 0;
  let completed = 0;
  let onComplete: () => void = () => undefined;
  let onAll: (endMs: number) => void = () => undefined;
  const since = (n: number, times: Times): void => {
    const ms = sentMs.get(n);
    // Tasks that waited before were submitted by another run.
    if (ms !== undefined) times.record(performance.now() - ms);
  };
  return {
    toAssigned,
    toCompleted,
    late: recordTimes(),
    sent: (n) => void sentMs.set(n, performance.now()),
    assigned(taskId, n) {
      since(n, toAssigned);
      open.set(taskId, n);
      return (assigned += 1);
    },
    complete(taskId) {
      const n = open.get(taskId);
      if (n === undefined) return fail(new Error(`${taskId} was completed and never assigned`));
      open.delete(taskId);
      since(n, toCompleted);
      completed += 1;
      if (completed === count) onAll(performance.now());
      onComplete();
    },
    onComplete: (call) => void (onComplete = call),
    open: () => open.size,
    completed: () => completed,
    all: new Promise((resolve) => (onAll = resolve)),
  };
}

type Send = (n: number, done?: () => void) => void;

function oneAtATime(send: Send, count: number, book: Book): void {
  let next = 0;
  const round = (): void => {
    if (next < count) send(next++);
  };
  book.onComplete(round);
  round();
}

function keepInFlight(send: Send, count: number, inFlight: number): void {
  let next = 0;
  const round = (): void => {
    if (next < count) send(next++, round);
  };
  for (let line = 0; line < inFlight; line += 1) round();
}

/** Each at its time from the first on; those whose time has passed during a sleep are sent at once. */
async function keepRate(send: Send, count: number, perSecond: number, late: (ms: number) => void): Promise<void> {
  const beganMs = performance.now();
  for (let n = 0; n < count;) {
    const dueMs = beganMs + (n * 1_000) / perSecond;
    const nowMs = performance.now();
    if (dueMs > nowMs) {
      await sleep(dueMs - nowMs);
      continue;
    }
    late(nowMs - dueMs);
    send(n);
    n += 1;
  }
}

/** Fails a run in which no task is completed any more. */
function watch(completed: () => number, fail: (error: Error) => void): NodeJS.Timeout {
  let before = -1;
  return setInterval(() => {
    if (completed() === before) fail(new Error(`nothing was completed for ${STUCK_MS} ms; ${before} are`));
    before = completed();
  }, STUCK_MS);
}
