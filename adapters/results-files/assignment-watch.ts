/**
 * Watches the files of one assignment. Every trigger (a watcher event, the periodic poll, an incomplete result, a call
 * of `scan`) leads to the same scan; scans run one at a time.
 */
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { AssignmentId } from '../../core/domain/assignment/slot.ts';
import type { Log } from '../../core/ports/log.ts';
import { oneAtATime } from '../../core/ports/timing/one-at-a-time.ts';
import type { FlatNames, ResultFileEvent } from '../../core/ports/result-inbox.ts';
import type { AssignmentPaths } from './assignment-paths.ts';
import { flatNames } from './flat-names.ts';
import { folderTrace, isFolder, isRegularFile } from './folder-state.ts';
import { progressFollower } from './progress-follower.ts';
import { resultReader } from './result-reader.ts';

export interface AssignmentWatchOptions {
  readonly assignment: AssignmentId;
  readonly paths: AssignmentPaths;
  readonly flat: FlatNames;
  readonly refusedDir: string;
  readonly stillMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether flat files may belong to this assignment: no other generation of its task is watched. */
  acceptsFlat(): boolean;
  onEvent(event: ResultFileEvent): void;
}

export interface AssignmentWatch {
  readonly assignment: AssignmentId;
  /** Schedules a scan that reports only what is new. */
  scheduleScan(): void;
  /** Scans and reports everything, again if necessary; resolves once no result is incomplete. */
  scan(): Promise<void>;
  /** Reports nothing from now on; resolves when the scan in progress has ended. */
  end(): Promise<void>;
}

export function assignmentWatch(options: AssignmentWatchOptions): AssignmentWatch {
  const { assignment, paths, refusedDir, stillMs, clock, acceptsFlat } = options;
  const log = options.log.with({ taskId: assignment.taskId, generation: assignment.generation });
  const reader = resultReader(clock, stillMs);
  const flat = flatNames({ assignment, paths, which: options.flat, reader, refusedDir });
  const ownProgress = progressFollower();
  const flatProgress = progressFollower();
  const serialized = oneAtATime();
  let isEnded = false;
  let isScheduled = false;
  let hasReportedStarted = false;
  let lastResultStamp: string | null = null;
  let lastTrace: string | null = null;
  let lastWarning: string | null = null;
  let retryTimer: Timer | null = null;
  /** There is an incomplete result. */
  let isIncomplete = false;
  /** Callers waiting for the next scan. */
  let waiters: (() => void)[] = [];

  /** Start times of the pending `scan` calls, in order. Their callers know that the run is over. */
  let scanStartsMs: readonly number[] = [];
  const overSinceMs = (): number | null => scanStartsMs[0] ?? null;

  function emit(event: ResultFileEvent): void {
    if (!isEnded) options.onEvent(event);
  }

  /** Logs a persistent fault only once. */
  function warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    const warning = `${message} ${JSON.stringify(fields)}`;
    if (warning !== lastWarning) log.warn(message, fields);
    lastWarning = warning;
  }

  /** One scan; resolves to the milliseconds after which to scan again, null if nothing is incomplete. */
  async function scanOnce(reportAgain: boolean): Promise<number | null> {
    if (isEnded || !(await isFolder(paths.resultsDir))) return null;
    const flatRetryMs = acceptsFlat() ? await flat.take(overSinceMs()) : null;
    if ((reportAgain || !hasReportedStarted) && ((await isRegularFile(paths.own('started'))) || (await isRegularFile(paths.claimed)))) {
      hasReportedStarted = true;
      emit({ kind: 'started', assignment });
    }
    const lines = await ownProgress.read(paths.own('progress'));
    // Progress lines carry no generation.
    const flatLines = acceptsFlat() && options.flat === 'all' ? await flatProgress.read(paths.flat('progress')) : [];
    for (const line of [...lines, ...flatLines]) emit({ kind: 'progress', assignment, ...line });
    const resultRetryMs = flatRetryMs ?? (await checkResult(reportAgain));
    await checkForChange();
    return resultRetryMs;
  }

  async function checkResult(reportAgain: boolean): Promise<number | null> {
    const found = await reader.read(paths.own('json'), overSinceMs());
    if (found.kind === 'waiting') return found.retryMs;
    if (found.kind === 'missing') return null;
    if (!reportAgain && lastResultStamp === found.stamp) return null;
    lastResultStamp = found.stamp;
    if (found.kind === 'object') emit({ kind: 'result', assignment, value: found.value, replaced: found.replaced });
    else emit({ kind: 'invalid', assignment, reason: found.reason, message: found.message });
    return null;
  }

  async function checkForChange(): Promise<void> {
    const trace = await folderTrace(paths.resultsDir, paths.stop);
    if (lastTrace !== null && trace !== null && trace !== lastTrace) emit({ kind: 'changed', assignment });
    lastTrace = trace;
  }

  function run(reportAgain: boolean): Promise<void> {
    return serialized(async () => {
      isScheduled = false;
      retryTimer?.cancel();
      retryTimer = null;
      try {
        const retryMs = await scanOnce(reportAgain);
        isIncomplete = retryMs !== null;
        if (retryMs !== null && !isEnded) retryTimer = clock.after(retryMs, scheduleScan);
      } finally {
        resolveWaiters();
      }
    });
  }

  function resolveWaiters(): void {
    const waiting = waiters;
    waiters = [];
    for (const wake of waiting) wake();
  }

  function scheduleScan(): void {
    if (isScheduled || isEnded) return;
    isScheduled = true;
    run(false).catch((error: unknown) => warn('Cannot read the results folder.', { error: messageOf(error) }));
  }

  return {
    assignment,
    scheduleScan,
    async scan() {
      const startMs = clock.monotonicMs();
      scanStartsMs = [...scanStartsMs, startMs];
      try {
        await run(true);
        while (isIncomplete && !isEnded) await new Promise<void>((resolve) => waiters.push(resolve));
      } finally {
        scanStartsMs = scanStartsMs.toSpliced(scanStartsMs.indexOf(startMs), 1);
      }
    },
    end() {
      isEnded = true;
      retryTimer?.cancel();
      resolveWaiters();
      return serialized(() => Promise.resolve());
    },
  };
}
