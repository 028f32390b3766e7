/** Follows a run that was started, by us or by an earlier sidecar, to its end, and sees to it that nothing of it is left. */
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { StopSignal, WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import type { ProcessEnd } from './launch.ts';
import { isAlive, markIfKnown, type ProcessTable } from './process-table.ts';
import { RUN_STREAMS_BYTES_MAX, STDERR_TAIL_BYTES, runFiles, streamedBytes, tailOf } from './run-files.ts';
import { stopTree } from './stop-tree.ts';
import { aborted, wait } from '../events/wait.ts';
import type { Emit } from '../events/wake-events.ts';

/** Between SIGTERM and SIGKILL, where neither the config nor the stop says otherwise. */
export const GRACE_MS = 5_000;
/** Between two looks at a process that is not our child: the system tells its end to its parent only. */
const LOOK_AT_FOREIGN_MS = 500;
/** How long ago a process that is not our child may have been seen, for the group it left to count as its own. */
const SEEN_WITHIN_MS = 2_000;
/** How long the end of a child that is gone may take to be told. */
const EXIT_TOLD_WITHIN_MS = 5_000;
/** Between two looks at the size of a run's streams; a run may go over its bound by what it writes meanwhile. */
const LOOK_AT_STREAMS_MS = 1_000;

export interface WatchRunOptions {
  readonly runId: string;
  readonly runDir: string;
  /** The process that was started; null when only the run id can tell. */
  readonly main: ProcessMark | null;
  /** Its end, when it is our own child; else its pid is looked at. */
  readonly ended?: Promise<ProcessEnd> | undefined;
  /** Between SIGTERM and SIGKILL, unless the reason of `signal` says otherwise. */
  readonly graceMs: number;
  /**
   * It only wakes its agent and hands over: once our child ended with 0, what it started is left alone and nothing more is told. One of an
   * earlier sidecar is told as `woken` when something carries its run id after its end.
   */
  readonly detaches?: boolean | undefined;
  readonly signal: StopSignal;
  /** Aborted when the runner has heard enough: the run is ended, and its end told as `exited`. */
  readonly enough?: StopSignal | undefined;
  /** Aborted when nobody wants to know any more: the run is left as it is. */
  readonly left: StopSignal;
  readonly clock: Clock;
  readonly log: Log;
  readonly table: ProcessTable;
  /** Standard output and error together. */
  readonly streamsBytesMax?: number | undefined;
}

/**
 * Emits, last of all, `stopped` if the run was stopped and `exited` if it ended by itself; before `exited` a `failed`
 * when it was ended because it wrote too much, or what it wrote cannot be looked at. Emits nothing more once `left` is aborted.
 */
export async function watchRun(options: WatchRunOptions, emit: Emit): Promise<void> {
  const { signal, left, enough, streamsBytesMax = RUN_STREAMS_BYTES_MAX } = options;
  const over = new AbortController();
  const foreign = foreignWatch(options);
  const ended = options.ended ?? foreign.end(over.signal);
  let childEnd: ProcessEnd | null = null;
  void options.ended?.then((end) => (childEnd = end));
  const first = await Promise.race([
    aborted(signal, over.signal).then(() => 'stop' as const),
    aborted(left, over.signal).then(() => 'left' as const),
    ...(enough === undefined ? [] : [aborted(enough, over.signal).then(() => 'enough' as const)]),
    overflow(options, streamsBytesMax, over.signal),
    ended.then(() => 'ended' as const),
  ]).finally(() => {
    over.abort();
  });
  if (left.aborted) return;
  if (first === 'ended' && options.detaches === true && !signal.aborted) {
    if (isWell(childEnd)) return;
    // How a program of an earlier sidecar ended nobody knows; where what it woke is at work, it has handed over.
    if (options.ended === undefined && (await isCarried(options))) return await emit({ type: 'woken' });
  }

  if (typeof first === 'object' && !signal.aborted) await emit(first);
  // Its children may outlive the main process; the run is over when they are gone too.
  const { wasAlive, survivors } = await stopTree({
    ...options,
    main: childEnd === null && options.ended !== undefined ? ownMark(options) : options.main,
    leaderSeen: options.ended !== undefined || foreign.wasSeen(),
    graceMs: graceOf(signal, options.graceMs),
  });
  if (survivors.length > 0) options.log.warn('processes of a run could not be killed', { runId: options.runId, survivors });
  // A run of an earlier sidecar that nothing was left of had ended by itself, whatever is asked of it now.
  if (signal.aborted && (wasAlive || options.ended !== undefined)) {
    await emit({ type: 'stopped', survivors });
    return;
  }
  const end = survivors.includes(options.main?.pid ?? 0) ? UNKNOWN_END : await told(ended, options.clock);
  const stderrTail = await tailOf(runFiles(options.runDir).stderr, STDERR_TAIL_BYTES);
  await emit({ type: 'exited', ...end, stderrTail, ...(survivors.length > 0 ? { survivors } : {}) });
}

const isWell = (end: ProcessEnd | null): boolean => end?.exitCode === 0;

const isCarried = async ({ runId, table }: WatchRunOptions): Promise<boolean> =>
  (await table.carriersOf(runId, await table.list(), null)).length > 0;

/** Our child keeps its number until its end was told, so that a mark that could not be read before may be read now. */
const ownMark = ({ main, table }: WatchRunOptions): ProcessMark | null => (main?.startTime === null ? markIfKnown(table, main.pid) : main);

const UNKNOWN_END: ProcessEnd = { exitCode: null, signal: null };

/** How our child ended: it is gone, so its end is told within a turn. Waiting for it keeps this process alive, which the child does not. */
async function told(ended: Promise<ProcessEnd>, clock: Clock): Promise<ProcessEnd> {
  const heard = new AbortController();
  const tooLate = wait(clock, EXIT_TOLD_WITHIN_MS, heard.signal).then(() => UNKNOWN_END);
  return await Promise.race([ended, tooLate]).finally(() => {
    heard.abort();
  });
}

/** The grace of this stop: whoever aborts may give one as `reason: { graceMs }`. */
export function graceOf(signal: StopSignal, defaultMs: number): number {
  const reason: unknown = signal.aborted ? signal.reason : undefined;
  if (typeof reason !== 'object' || reason === null || !('graceMs' in reason)) return defaultMs;
  return typeof reason.graceMs === 'number' && reason.graceMs >= 0 ? reason.graceMs : defaultMs;
}

/** Looks at a process that is not our child, and remembers when it was seen last. */
function foreignWatch({ main, table, clock }: WatchRunOptions) {
  let seenMs: number | null = null;
  return {
    async end(cut: StopSignal): Promise<ProcessEnd> {
      while (main !== null && !cut.aborted && isAlive(table, main)) {
        seenMs = clock.monotonicMs();
        await wait(clock, LOOK_AT_FOREIGN_MS, cut);
      }
      return UNKNOWN_END;
    },
    wasSeen: (): boolean => seenMs !== null && clock.monotonicMs() - seenMs <= SEEN_WITHIN_MS,
  };
}

/** Answers once the streams of the run are over their bound, or cannot be measured any more: why the run is ended. */
async function overflow({ runDir, clock }: WatchRunOptions, bytesMax: number, cut: StopSignal): Promise<WakeEvent> {
  try {
    while (!cut.aborted && (await streamedBytes(runDir)) <= bytesMax) await wait(clock, LOOK_AT_STREAMS_MS, cut);
  } catch (error) {
    return unmeasured(runDir, error);
  }
  return tooMuchOutput(bytesMax);
}

/** How a run ends whose agent has spoilt the folder of its streams. */
const unmeasured = (runDir: string, error: unknown): WakeEvent => ({
  type: 'failed',
  phase: 'agent',
  message: `The standard output and error of the agent cannot be looked at, and it was stopped: ${messageOf(error)}. Leave "${runDir}" to the sidecar.`,
  retryable: true,
  details: { cause: 'output_unreadable' },
});

/** How a run ends that wrote more than it may. */
export const tooMuchOutput = (bytesMax: number): WakeEvent => ({
  type: 'failed',
  phase: 'agent',
  message: `The agent wrote more than ${String(bytesMax)} bytes to standard output and error, and was stopped. Make it quieter or let it write to a file.`,
  retryable: true,
  details: { cause: 'output_too_large', bytesMax },
});
