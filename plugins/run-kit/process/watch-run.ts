/** Follows a run, started here or by an earlier sidecar, to its end, and makes sure that none of its processes are left. */
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { StopSignal, WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import type { ProcessExit } from './launch.ts';
import { isAlive, markIfKnown, type ProcessTable } from './process-table.ts';
import { RUN_STREAMS_BYTES_MAX, STDERR_TAIL_BYTES, runFiles, streamedBytes, tailOf } from './run-files.ts';
import { stopTree, type StopTreeOptions, type StopTreeResult } from './stop-tree.ts';
import { aborted, isMomentary, wait } from '../events/wait.ts';
import type { Emit } from '../events/wake-events.ts';

/** Milliseconds between SIGTERM and SIGKILL, unless config or stop say otherwise. */
export const GRACE_MS = 5_000;
/** Poll interval for a process that is not our child; the system reports exits only to the parent. */
const FOREIGN_POLL_MS = 500;
/** How recently a process that is not our child must have been seen for its group to count as its own. */
const SEEN_WITHIN_MS = 2_000;
/** How long the exit event of our child may take once the child is gone. */
const EXIT_EVENT_WITHIN_MS = 5_000;
/** Retries of the list of processes while the system has no free file descriptor: 10 s in total. */
const STOP_RETRY_MS = 100;
const STOP_TRIES_MAX = 100;
/** Poll interval for the size of a run's streams; a run may exceed its limit by what it writes in between. */
const STREAMS_POLL_MS = 1_000;
/** Longest grace of a run that exceeded that limit, or cannot be measured: until it is killed it may go on filling the disk. */
const OVERFLOW_GRACE_MS = 500;

/** Which run to watch. */
export interface WatchRunOptions {
  readonly runId: string;
  readonly runDir: string;
  /** The process that was started; null if only the run id can identify it. */
  readonly main: ProcessMark | null;
  /** Its exit, if it is our child; otherwise its pid is polled. */
  readonly exited?: Promise<ProcessExit> | undefined;
  /**
   * Milliseconds between SIGTERM and SIGKILL, unless the reason of `signal` says otherwise. At most 500 for a run that is ended
   * for its output.
   */
  readonly graceMs: number;
  /**
   * The program only wakes its agent and hands over: after exit code 0, what it started is left alone and nothing more
   * is reported. For a run of an earlier sidecar, `woken` is emitted if a process with its run id remains.
   */
  readonly detaches?: boolean | undefined;
  readonly signal: StopSignal;
  /** Aborted by the runner to end the run, which is then reported as `exited`. */
  readonly endSignal?: StopSignal | undefined;
  /** Aborted when the listener has left: the run is left alone. */
  readonly detachSignal: StopSignal;
  readonly clock: Clock;
  readonly log: Log;
  readonly table: ProcessTable;
  /** Maximum size of standard output and error together. */
  readonly streamsBytesMax?: number | undefined;
}

/**
 * Emits, last of all, `stopped` if the run was stopped and `exited` if it ended by itself; before `exited` also
 * `failed` if it was ended because its output exceeded the limit or could not be measured. Emits nothing once
 * `detachSignal` is aborted.
 */
export async function watchRun(options: WatchRunOptions, emit: Emit): Promise<void> {
  const { signal, detachSignal, endSignal, streamsBytesMax = RUN_STREAMS_BYTES_MAX } = options;
  const over = new AbortController();
  const foreign = watchForeign(options);
  const exited = options.exited ?? foreign.untilGone(over.signal);
  let childExit: ProcessExit | null = null;
  void options.exited?.then((end) => (childExit = end));
  const first = await Promise.race([
    aborted(signal, over.signal).then(() => 'stop' as const),
    aborted(detachSignal, over.signal).then(() => 'detached' as const),
    ...(endSignal === undefined ? [] : [aborted(endSignal, over.signal).then(() => 'end' as const)]),
    overflow(options, streamsBytesMax, over.signal),
    exited.then(() => 'exited' as const),
  ]).finally(() => {
    over.abort();
  });
  if (detachSignal.aborted) return;
  if (first === 'exited' && options.detaches === true && !signal.aborted) {
    if (exitedCleanly(childExit)) return;
    // The exit code of an adopted program is unknown; if the agent that it woke is running, it has handed over.
    if (options.exited === undefined && (await hasCarriers(options))) return await emit({ type: 'woken' });
  }

  const isEndedForOutput = typeof first === 'object';
  if (isEndedForOutput && !signal.aborted) await emit(first);
  // Children may outlive the main process; the run is over when they are gone too.
  const { wasAlive, survivors } = await stopWhenPossible({
    ...options,
    main: childExit === null && options.exited !== undefined ? ownMark(options) : options.main,
    leaderSeen: options.exited !== undefined || foreign.wasSeen(),
    graceMs: Math.min(graceOf(signal, options.graceMs), isEndedForOutput ? OVERFLOW_GRACE_MS : Infinity),
  });
  if (survivors.length > 0) options.log.warn('processes of a run could not be killed', { runId: options.runId, survivors });
  // If nothing was left of an adopted run, it had ended by itself, even if it is to be stopped now.
  if (signal.aborted && (wasAlive || options.exited !== undefined)) {
    await emit({ type: 'stopped', survivors });
    return;
  }
  const end = survivors.includes(options.main?.pid ?? 0) ? UNKNOWN_EXIT : await exitOf(exited, options.clock);
  const stderrTail = await tailOf(runFiles(options.runDir).stderr, STDERR_TAIL_BYTES);
  await emit({ type: 'exited', ...end, stderrTail, ...(survivors.length > 0 ? { survivors } : {}) });
}

/** Without a free file nobody can tell what is left of the run, and its end would count as a fault of the runner. */
async function stopWhenPossible(options: StopTreeOptions & Pick<WatchRunOptions, 'runId' | 'log'>): Promise<StopTreeResult> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await stopTree(options);
    } catch (error) {
      if (!isMomentary(error) || tries === STOP_TRIES_MAX) throw error;
      if (tries === 1)
        options.log.warn('cannot look for the processes of a run at the moment; trying again', {
          runId: options.runId,
          error: messageOf(error),
        });
      await wait(options.clock, STOP_RETRY_MS);
    }
  }
}

const exitedCleanly = (exit: ProcessExit | null): boolean => exit?.exitCode === 0;

const hasCarriers = async ({ runId, table }: WatchRunOptions): Promise<boolean> =>
  (await table.carriersOf(runId, await table.list(), null)).length > 0;

/** Our child keeps its pid until it is reaped, so a mark that could not be read before may be readable now. */
const ownMark = ({ main, table }: WatchRunOptions): ProcessMark | null => (main?.startTime === null ? markIfKnown(table, main.pid) : main);

const UNKNOWN_EXIT: ProcessExit = { exitCode: null, signal: null };

/** How our child exited. The event is imminent, since the child is gone; until it arrives, the timer keeps the sidecar alive. */
async function exitOf(exited: Promise<ProcessExit>, clock: Clock): Promise<ProcessExit> {
  const settled = new AbortController();
  const tooLate = wait(clock, EXIT_EVENT_WITHIN_MS, settled.signal).then(() => UNKNOWN_EXIT);
  return await Promise.race([exited, tooLate]).finally(() => {
    settled.abort();
  });
}

/** The grace period of this stop, from an abort reason `{ graceMs }`. */
export function graceOf(signal: StopSignal, defaultMs: number): number {
  const reason: unknown = signal.aborted ? signal.reason : undefined;
  if (typeof reason !== 'object' || reason === null || !('graceMs' in reason)) return defaultMs;
  return typeof reason.graceMs === 'number' && reason.graceMs >= 0 ? reason.graceMs : defaultMs;
}

/** Polls a process that is not our child and remembers when it was last seen. */
function watchForeign({ main, table, clock }: WatchRunOptions) {
  let seenMs: number | null = null;
  return {
    async untilGone(over: StopSignal): Promise<ProcessExit> {
      while (main !== null && !over.aborted && isAlive(table, main)) {
        seenMs = clock.monotonicMs();
        await wait(clock, FOREIGN_POLL_MS, over);
      }
      return UNKNOWN_EXIT;
    },
    wasSeen: (): boolean => seenMs !== null && clock.monotonicMs() - seenMs <= SEEN_WITHIN_MS,
  };
}

/** Resolves once the run's streams exceed their limit or cannot be measured, with the reason to end the run. */
async function overflow({ runDir, clock }: WatchRunOptions, bytesMax: number, over: StopSignal): Promise<WakeEvent> {
  try {
    while (!over.aborted && (await streamedBytes(runDir)) <= bytesMax) await wait(clock, STREAMS_POLL_MS, over);
  } catch (error) {
    return unreadableOutput(runDir, error);
  }
  return tooMuchOutput(bytesMax);
}

/** The failure of a run whose agent made the folder of its streams unreadable. */
const unreadableOutput = (runDir: string, error: unknown): WakeEvent => ({
  type: 'failed',
  phase: 'agent',
  message: `The output of the agent cannot be measured, so the agent was stopped: ${messageOf(error)}. Do not modify "${runDir}".`,
  retryable: true,
  details: { cause: 'output_unreadable' },
});

/** The failure of a run that wrote more than allowed. */
export const tooMuchOutput = (bytesMax: number): WakeEvent => ({
  type: 'failed',
  phase: 'agent',
  message: `The agent wrote more than ${String(bytesMax)} bytes to standard output and error, and was stopped. Make the agent print less, or let it write to a file.`,
  retryable: true,
  details: { cause: 'output_too_large', bytesMax },
});
