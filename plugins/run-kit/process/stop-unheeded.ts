/** A stop that a runner does not heed: what is left of its run is then ended by run id, so that its slot is free again. */
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { StopSignal, WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import type { ProcessTable } from './process-table.ts';
import { stopTree } from './stop-tree.ts';
import { aborted, wait } from '../events/wait.ts';
import { wakeEvents } from '../events/wake-events.ts';
import { GRACE_MS, graceOf } from './watch-run.ts';

/** What a stop may take beyond its grace before it counts as not heeded, milliseconds. */
export const STOP_MARGIN_MS = 10_000;

export interface UnheededOptions {
  readonly runId: string;
  /** As the sidecar knows it; a run tells its own with `spawned`. */
  readonly process: ProcessMark | null;
  /** It is woken now, and no run of an earlier sidecar. */
  readonly isWake: boolean;
  readonly signal: StopSignal;
  readonly clock: Clock;
  readonly log: Log;
  readonly table: ProcessTable;
}

/**
 * The events of a run. When they do not end within the grace of its stop and `STOP_MARGIN_MS`, its processes are killed, and
 * `stopped` is its last event. Where nobody can see who carries a run id, a throw before `spawned` is a failure of the agent. Who lets go of it lets go of the runner too.
 */
export function stopUnheeded(events: AsyncIterable<WakeEvent>, options: UnheededOptions): AsyncIterable<WakeEvent> {
  return wakeEvents(async (emit, left) => {
    const { runId, isWake, signal, clock, log, table } = options;
    const over = new AbortController();
    const iterator = events[Symbol.asyncIterator]();
    let main = options.process;
    const pass = async (): Promise<'ended'> => {
      for (let next = await iterator.next(); next.done !== true && !over.signal.aborted; next = await iterator.next()) {
        main = markIn(next.value) ?? main;
        await emit(next.value);
      }
      return 'ended';
    };
    const passOrFail = (): Promise<'ended'> =>
      pass().catch(async (error: unknown) => {
        // Woken again it would be beside what nobody can find.
        if (!isWake || main !== null || table.seesRunIds || signal.aborted) throw error;
        const message = `the wake runner broke before it told of a process, and what it had started may be alive: ${messageOf(error)}`;
        await emit({ type: 'failed', phase: 'agent', message, retryable: true });
        return 'ended' as const;
      });
    const waitInVain = async (): Promise<'unheeded'> => {
      await aborted(signal, over.signal);
      if (!over.signal.aborted) await wait(clock, graceOf(signal, GRACE_MS) + STOP_MARGIN_MS, over.signal);
      return 'unheeded';
    };
    const first = await Promise.race([passOrFail(), waitInVain(), aborted(left, over.signal).then(() => 'left' as const)]).finally(() => {
      over.abort();
    });
    if (first === 'ended') return;
    iterator.return?.().catch((error: unknown) => {
      log.warn('a runner did not let go of a run', { runId, error });
    });
    if (first === 'left') return;
    // Counted as stopped, it could be run beside itself.
    if (main === null && !table.seesRunIds)
      throw new Error('the runner does not heed a stop and named no process, and this system does not show who carries a run id');
    log.error('a runner does not heed a stop; ending its run by its run id', { runId });
    const { survivors } = await stopTree({ main, runId, graceMs: 0, clock, table });
    await emit({ type: 'stopped', survivors });
  });
}

/** A stranger's event may be anything. */
function markIn(event: unknown): ProcessMark | null {
  if (typeof event !== 'object' || event === null || !('type' in event) || event.type !== 'spawned' || !('process' in event)) return null;
  const { process } = event;
  const isMark = typeof process === 'object' && process !== null && 'pid' in process && 'startTime' in process && 'bootId' in process;
  return isMark ? (process as ProcessMark) : null;
}
