/** Whole lives of tasks, from the submit to the acknowledged completion, submitted and worked on by this one process. */
import { setTimeout as sleep } from 'node:timers/promises';
import { lightSidecars, type LightSidecarsPlan } from './light-sidecars.ts';
import { recordTimes, type Spread } from './spread.ts';
import { numberOf, openSubmitter, type Submitter } from './submitting.ts';

export interface LifecyclePlan extends LightSidecarsPlan {
  /** Of who submits. */
  readonly token: string;
  /** Tasks that live through it. */
  readonly count: number;
  readonly submit:
    /** Nobody submits: at least `count` wait already. */
    | { readonly how: 'waiting' }
    /** Always so many submits on their way. */
    | { readonly how: 'in_flight'; readonly inFlight: number }
    /** The next one when the last is completed. */
    | { readonly how: 'one_at_a_time' }
    /** So many in a second, whoever answers. */
    | { readonly how: 'rate'; readonly perSecond: number };
}

export interface Lived {
  /** From the first submit, or from the first sidecar's connecting, until `count` completions were acknowledged. */
  readonly seconds: number;
  /** From the submit's first byte; empty for what waited before. */
  readonly toAssigned: Spread;
  readonly toCompleted: Spread;
  /** How much later than its time each submit of a rate was sent: the fault of this process, not of the hub. */
  readonly late: Spread;
}

/** More submits of a rate wait in line here. */
const RATE_CONNECTIONS = 128;
/** What was assigned while the draining was said has come by now. */
const STILL_MS = 100;
const STUCK_MS = 60_000;

export async function live(plan: LifecyclePlan): Promise<Lived> {
  const { count, submit } = plan;
  const sentMs = new Float64Array(count);
  const [toAssigned, toCompleted, late] = [recordTimes(), recordTimes(), recordTimes()];
  const open = new Map<string, number>();
  let assigned = 0;
  let completed = 0;
  let endMs = 0;
  let fail: (error: Error) => void = () => undefined;
  const failure = new Promise<never>((_, reject) => (fail = reject));
  let onCompleted: () => void = () => undefined;
  let onAll: () => void = () => undefined;
  const all = new Promise<void>((resolve) => (onAll = resolve));

  const work = async (): Promise<Lived> => {
    const beganMs = performance.now();
    const connecting = lightSidecars(plan, {
      onAssigned(taskId, description) {
        const n = numberOf(description);
        open.set(taskId, n);
        assigned += 1;
        if (submit.how === 'waiting') {
          if (assigned === count) void connecting.then((sidecars) => sidecars.drain());
        } else toAssigned.record(performance.now() - (sentMs[n] ?? 0));
      },
      onCompleted(taskId) {
        const n = open.get(taskId);
        if (n === undefined || !open.delete(taskId)) return fail(new Error(`${taskId} was completed and never assigned`));
        completed += 1;
        if (submit.how !== 'waiting') toCompleted.record(performance.now() - (sentMs[n] ?? 0));
        if (completed === count) {
          endMs = performance.now();
          onAll();
        }
        onCompleted();
      },
      onFailure: fail,
    });
    const sidecars = await connecting;
    const submitMs = performance.now();
    const lines = submit.how === 'in_flight' ? submit.inFlight : submit.how === 'rate' ? RATE_CONNECTIONS : 1;
    let submitter: Submitter | null = null;
    if (submit.how !== 'waiting') {
      submitter = await openSubmitter({ port: plan.port, token: plan.token, inFlight: lines, perRequest: 1, withKeys: false }, fail);
      const one = submitter.one.bind(submitter);
      const send = (n: number, done?: () => void): void => {
        sentMs[n] = performance.now();
        one(n, done);
      };
      if (submit.how === 'in_flight') keepInFlight(send, count, submit.inFlight);
      else if (submit.how === 'rate') void keepRate(send, count, submit.perSecond, late.record);
      else {
        let n = 0;
        onCompleted = () => void (n + 1 < count && send((n += 1)));
        send(0);
      }
    }
    await all;
    do await sleep(STILL_MS);
    while (open.size > 0);
    await sidecars.close();
    submitter?.end();
    const seconds = (endMs - (submit.how === 'waiting' ? beganMs : submitMs)) / 1_000;
    return { seconds, toAssigned: toAssigned.spread(), toCompleted: toCompleted.spread(), late: late.spread() };
  };

  const watching = watch(() => completed, fail);
  try {
    return await Promise.race([work(), failure]);
  } finally {
    clearInterval(watching);
  }
}

type Send = (n: number, done?: () => void) => void;

function keepInFlight(send: Send, count: number, inFlight: number): void {
  let next = 0;
  const round = (): void => {
    if (next < count) send(next++, round);
  };
  for (let line = 0; line < inFlight; line += 1) round();
}

/** Each at its time from the first on; those whose time has passed while this slept go at once. */
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

/** Fails a run in which nothing is completed any more. */
function watch(completed: () => number, fail: (error: Error) => void): NodeJS.Timeout {
  let before = -1;
  return setInterval(() => {
    if (completed() === before) fail(new Error(`nothing was completed for ${STUCK_MS} ms; ${before} are`));
    before = completed();
  }, STUCK_MS);
}
