/** One assignment whose files in memory are expected. */
import { utf8Bytes } from '../../../../core/domain/encoded-text.ts';
import { assignmentText } from '../../../../core/ports/assignment-name.ts';
import type { Clock, Timer } from '../../../../core/ports/clock.ts';
import type { AssignmentId } from '../../../../core/domain/assignment/slot.ts';
import type { FlatNames, ResultFileEvent } from '../../../../core/ports/result-inbox.ts';
import {
  NOT_REGULAR,
  readProgress,
  readResult,
  RESULT_FILE_BYTES_MAX,
  unfinishedLeftMs,
  type Unfinished,
} from '../../../../core/protocol/agent-files.ts';
import { refuseFlatFile, type MemoryFile, type MemoryFiles } from './memory-files.ts';

/** Something that is not a file. */
const ODD: MemoryFile = { text: '', stamp: -1 };

export interface MemoryWatchOptions {
  readonly assignment: AssignmentId;
  readonly flat: FlatNames;
  readonly files: MemoryFiles;
  readonly clock: Clock;
  readonly resultStillMs: number;
  /** Whether no other assignment of its task is expected. */
  isAlone(): boolean;
  /** No process can read the folders now. */
  isRefused(): boolean;
  onEvent(event: ResultFileEvent): void;
}

export interface MemoryWatch {
  readonly assignment: AssignmentId;
  readonly flat: FlatNames;
  /** Scans soon, not inside this call. */
  scheduleScan(): void;
  scan(): Promise<void>;
  end(): void;
}

export function memoryWatch(options: MemoryWatchOptions): MemoryWatch {
  const { assignment, files, clock, resultStillMs, isAlone } = options;
  const ownDir = `results/${assignmentText(assignment)}`;
  const own = (file: string): string => `${ownDir}/${assignment.taskId}.${file}`;
  /** The published task, once an agent that polls has claimed it. */
  const claimed = `${ownDir}/${assignmentText(assignment)}.json`;
  const flat = (file: string): string => `results/${assignment.taskId}.${file}`;
  let isEnded = false;
  let isScheduled = false;
  let hasReportedStarted = false;
  let lastResultStamp: number | null = null;
  let trace: string | null = null;
  let unfinished: (Unfinished & { readonly stamp: number }) | null = null;
  /** For each caller that requested a scan, since when it waits, oldest first: the run is over. */
  let scanStartsMs: readonly number[] = [];
  let retryTimer: Timer | null = null;
  const progressRead = new Map<string, number>();
  let waiters: (() => void)[] = [];

  const emit = (event: ResultFileEvent): void => {
    if (!isEnded) options.onEvent(event);
  };

  function scanOnce(reportAgain: boolean): void {
    if (options.isRefused()) return;
    retryTimer?.cancel();
    retryTimer = null;
    if (isAlone()) takeFlatFiles();
    if ((reportAgain || !hasReportedStarted) && (files.read(own('started')) ?? files.read(claimed)) !== null) {
      hasReportedStarted = true;
      emit({ kind: 'started', assignment });
    }
    reportProgress(own('progress'));
    if (isAlone() && options.flat === 'all') reportProgress(flat('progress'));
    reportResult(reportAgain);
    reportChange();
    const waiting = waiters;
    waiters = [];
    for (const wake of waiting) wake();
  }

  function takeFlatFiles(): void {
    for (const file of ['started', 'json']) {
      const found = files.read(flat(file));
      if (found !== null) takeFlatFile(file, found);
    }
  }

  function takeFlatFile(file: string, found: MemoryFile): void {
    const read = readResult(found.text);
    if (file === 'json' && read.kind === 'unreadable' && files.read(own(file)) === null && leftMs(found) > 0) return;
    const named = read.kind === 'object' ? read.value['generation'] : undefined;
    const generation = named ?? assignment.generation;
    if (named === undefined && options.flat === 'named') refuse(file, 'It names no generation, and an earlier run may be alive.');
    else if (String(generation) !== String(assignment.generation)) refuse(file, `It names generation ${JSON.stringify(generation)}.`);
    else if (files.read(own(file)) !== null) refuse(file, `The folder of ${assignmentText(assignment)} already has one.`);
    else files.move(flat(file), own(file));
  }

  const refuse = (file: string, reason: string): void => refuseFlatFile(files, assignment.taskId, file, reason);

  /** How long content that does not parse may still become a result. */
  function leftMs({ stamp }: MemoryFile): number {
    const nowMs = clock.monotonicMs();
    if (unfinished?.stamp !== stamp) unfinished = { stamp, sinceMs: nowMs, firstMs: unfinished?.firstMs ?? nowMs };
    const left = unfinishedLeftMs(unfinished, scanStartsMs[0] ?? null, resultStillMs, nowMs);
    if (left > 0) retryTimer ??= clock.after(left, scheduleScan);
    return left;
  }

  function reportResult(reportAgain: boolean): void {
    const found = files.read(own('json')) ?? (files.isOdd(own('json')) ? ODD : null);
    if (found === null) return;
    const isTooLarge = utf8Bytes(found.text) > RESULT_FILE_BYTES_MAX;
    const read = isTooLarge ? null : found === ODD ? ({ kind: 'unreadable', why: NOT_REGULAR } as const) : readResult(found.text);
    if (read?.kind === 'unreadable' && leftMs(found) > 0) return;
    if (!reportAgain && lastResultStamp === found.stamp) return;
    lastResultStamp = found.stamp;
    if (read === null) emit({ kind: 'invalid', assignment, reason: 'result_too_large', message: 'The result is over 8 MiB.' });
    else if (read.kind === 'unreadable')
      emit({ kind: 'invalid', assignment, reason: 'result_invalid', message: `The result ${read.why}.` });
    else {
      unfinished = null;
      emit({ kind: 'result', assignment, value: read.value, replaced: read.replaced });
    }
  }

  function reportProgress(path: string): void {
    const text = files.read(path)?.text ?? '';
    const before = progressRead.get(path);
    const from = before !== undefined && before <= text.length ? before : 0;
    const end = text.lastIndexOf('\n') + 1;
    const lines = text
      .slice(from, end)
      .split('\n')
      .flatMap((line) => (line === '' ? [] : (readProgress(line) ?? [])));
    progressRead.set(path, Math.max(from, end));
    for (const line of before === undefined ? lines.slice(-1) : lines) emit({ kind: 'progress', assignment, ...line });
  }

  function reportChange(): void {
    const ours = own('stop');
    const now = JSON.stringify(files.under(ownDir).flatMap((path) => (path === ours ? [] : [path, files.read(path)?.stamp])));
    if (trace !== null && trace !== now) emit({ kind: 'changed', assignment });
    trace = now;
  }

  function scheduleScan(): void {
    if (isScheduled || isEnded) return;
    isScheduled = true;
    void Promise.resolve().then(() => {
      isScheduled = false;
      if (!isEnded) scanOnce(false);
    });
  }

  return {
    assignment,
    flat: options.flat,
    scheduleScan,
    async scan() {
      await Promise.resolve();
      const startMs = clock.monotonicMs();
      scanStartsMs = [...scanStartsMs, startMs];
      if (!isEnded) scanOnce(true);
      while (retryTimer !== null && !isEnded) await new Promise<void>((resolve) => waiters.push(resolve));
      scanStartsMs = scanStartsMs.toSpliced(scanStartsMs.indexOf(startMs), 1);
    },
    end() {
      isEnded = true;
      retryTimer?.cancel();
      for (const wake of waiters) wake();
      waiters = [];
    },
  };
}
