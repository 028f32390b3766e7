/** Enforces a stop that a runner ignores: the run is ended by its run id, so that its slot becomes free. */
import { setImmediate } from 'node:timers/promises';
import { describe } from '../../../core/domain/describe-value.ts';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import { checkedStep, type StopSignal, type WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import type { ProcessTable } from './process-table.ts';
import { stopTree } from './stop-tree.ts';
import { aborted, wait } from '../events/wait.ts';
import { wakeEvents } from '../events/wake-events.ts';
import { GRACE_MS, graceOf } from './watch-run.ts';

/** How long a stop may take beyond its grace period before it counts as ignored, milliseconds. */
export const STOP_MARGIN_MS = 10_000;
/** After how many events timers, signals and the other runs have their turn: a generator that never waits would leave them none. */
const EVENTS_PER_TURN = 64;

export interface EnforceStopOptions {
  readonly runId: string;
  /** As known to the sidecar; replaced by that of the run's `spawned` event. */
  readonly process: ProcessMark | null;
  /** A new wake, not an attach. */
  readonly isWake: boolean;
  readonly signal: StopSignal;
  readonly clock: Clock;
  readonly log: Log;
  readonly table: ProcessTable;
}

/**
 * Forwards the events of a run. If they do not end within the grace period plus `STOP_MARGIN_MS` after an abort, kills
 * its processes and emits `stopped`. On systems that hide run ids, a throw before `spawned` becomes a failure of the
 * agent. When the consumer stops listening, so does this.
 */
export function enforceStop(events: AsyncIterable<WakeEvent>, options: EnforceStopOptions): AsyncIterable<WakeEvent> {
  return wakeEvents(async (emit, detachSignal) => {
    const { runId, isWake, signal, clock, log, table } = options;
    const over = new AbortController();
    const iterator = iteratorOf(events);
    let main = options.process;
    const pass = async (): Promise<'ended'> => {
      let passed = 0;
      for (
        let next = checkedStep(await iterator.next());
        next.done !== true && !over.signal.aborted;
        next = checkedStep(await iterator.next())
      ) {
        main = markIn(next.value) ?? main;
        await emit(next.value);
        passed += 1;
        if (passed % EVENTS_PER_TURN === 0) await setImmediate();
      }
      return 'ended';
    };
    const forwardOrFail = (): Promise<'ended'> =>
      pass().catch(async (error: unknown) => {
        // Another wake could run the agent next to processes that cannot be found.
        if (!isWake || main !== null || table.seesRunIds || signal.aborted) throw error;
        const message = `the wake runner failed before it reported a process, and what it started may still be running: ${messageOf(error)}`;
        await emit({ type: 'failed', phase: 'agent', message, retryable: true });
        return 'ended' as const;
      });
    const stopTimeout = async (): Promise<'timeout'> => {
      await aborted(signal, over.signal);
      if (!over.signal.aborted) await wait(clock, graceOf(signal, GRACE_MS) + STOP_MARGIN_MS, over.signal);
      return 'timeout';
    };
    const first = await Promise.race([
      forwardOrFail(),
      stopTimeout(),
      aborted(detachSignal, over.signal).then(() => 'detached' as const),
    ]).finally(() => {
      over.abort();
    });
    if (first === 'ended') return;
    // Written by hand, it may throw or return something that is not a promise.
    (async () => iterator.return?.())().catch((error: unknown) => {
      log.warn('a runner did not stop following a run', { runId, error });
    });
    if (first === 'detached') return;
    // If the run counted as stopped, its agent could be woken while it still runs.
    if (main === null && !table.seesRunIds)
      throw new Error('the runner ignored a stop and reported no process, and this system does not show run IDs');
    log.error('a runner ignored a stop; killing its run by run ID', { runId });
    const { survivors } = await stopTree({ main, runId, graceMs: 0, clock, table });
    await emit({ type: 'stopped', survivors });
  });
}

/** A plugin in plain JavaScript may return anything. */
function iteratorOf(events: unknown): AsyncIterator<WakeEvent> {
  const begin = (events as Partial<AsyncIterable<WakeEvent>> | null | undefined)?.[Symbol.asyncIterator];
  if (typeof begin === 'function') return begin.call(events);
  const found = events instanceof Promise ? 'a promise (make it an async generator, or use wakeEvents)' : describe(events);
  throw new TypeError(`wake() and attach() must return an async iterable of events, found ${found}`);
}

/** A third-party event may be any value. */
function markIn(event: unknown): ProcessMark | null {
  if (typeof event !== 'object' || event === null || !('type' in event) || event.type !== 'spawned' || !('process' in event)) return null;
  const { process } = event;
  const isMark = typeof process === 'object' && process !== null && 'pid' in process && 'startTime' in process && 'bootId' in process;
  return isMark ? (process as ProcessMark) : null;
}
