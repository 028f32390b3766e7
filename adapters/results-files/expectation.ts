/**
 * One assignment whose files are awaited. Every reason to look (an event of the watcher, the listing every few seconds,
 * a result in the making, a call of `look`) leads to the same look; looks come one after the other.
 */
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { Assignment } from '../../core/domain/assignment/slot.ts';
import type { Log } from '../../core/ports/log.ts';
import { oneAtATime } from '../../core/ports/opening.ts';
import type { FlatNames, ResultSighting } from '../../core/ports/result-inbox.ts';
import type { AssignmentPaths } from './assignment-paths.ts';
import { flatNames } from './flat-names.ts';
import { folderTrace, isFolder, isRegular } from './folder-look.ts';
import { progressFollower } from './progress-follower.ts';
import { resultReader } from './result-reader.ts';

export interface ExpectationOptions {
  readonly name: Assignment;
  readonly paths: AssignmentPaths;
  readonly flat: FlatNames;
  readonly refusedDir: string;
  readonly stillMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether flat names may be this assignment's: no other one of its task is expected. */
  mayTakeFlat(): boolean;
  onSighting(sighting: ResultSighting): void;
}

export interface Expectation {
  readonly name: Assignment;
  /** Looks soon. What was told already is not told again. */
  poke(): void;
  /** Looks, tells all that is there, also again, and answers when nothing there is undecided any more. */
  look(): Promise<void>;
  /** Nothing is told from the call on; answers when the look under way is over. */
  end(): Promise<void>;
}

export function expectation(options: ExpectationOptions): Expectation {
  const { name, paths, refusedDir, stillMs, clock, mayTakeFlat } = options;
  const log = options.log.with({ taskId: name.taskId, generation: name.generation });
  const reader = resultReader(clock, stillMs);
  const flat = flatNames({ name, paths, which: options.flat, reader, refusedDir });
  const ownProgress = progressFollower();
  const flatProgress = progressFollower();
  const inTurn = oneAtATime();
  let isEnded = false;
  let isPoked = false;
  let hasToldStarted = false;
  let toldResult: string | null = null;
  let lastTrace: string | null = null;
  let lastWarning: string | null = null;
  let again: Timer | null = null;
  /** A result is in the making. */
  let isUndecided = false;
  /** Those who wait for the next look. */
  let waiters: (() => void)[] = [];

  /** Since when somebody waits for all to be decided, in order: whoever asks knows that the run is over. */
  let askedAtMs: readonly number[] = [];
  const overSinceMs = (): number | null => askedAtMs[0] ?? null;

  function tell(sighting: ResultSighting): void {
    if (!isEnded) options.onSighting(sighting);
  }

  /** A fault that lasts is said once. */
  function warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    const warning = `${message} ${JSON.stringify(fields)}`;
    if (warning !== lastWarning) log.warn(message, fields);
    lastWarning = warning;
  }

  /** One look; answers when to look again, null when all is decided. */
  async function lookOnce(tellAgain: boolean): Promise<number | null> {
    if (isEnded || !(await isFolder(paths.resultsDir))) return null;
    const flatAgainMs = mayTakeFlat() ? await flat.take(overSinceMs()) : null;
    if ((tellAgain || !hasToldStarted) && (await isRegular(paths.own('started')))) {
      hasToldStarted = true;
      tell({ kind: 'started', name });
    }
    const lines = await ownProgress.read(paths.own('progress'));
    // A line of it names no generation.
    const flatLines = mayTakeFlat() && options.flat === 'all' ? await flatProgress.read(paths.flat('progress')) : [];
    for (const line of [...lines, ...flatLines]) tell({ kind: 'progress', name, ...line });
    const resultAgainMs = flatAgainMs ?? (await lookAtResult(tellAgain));
    await lookForChange();
    return resultAgainMs;
  }

  async function lookAtResult(tellAgain: boolean): Promise<number | null> {
    const found = await reader.read(paths.own('json'), overSinceMs());
    if (found.kind === 'waiting') return found.againMs;
    if (found.kind === 'not_regular') warn('The result is not a regular file; it is not read.', { path: paths.own('json') });
    if (found.kind !== 'object' && found.kind !== 'invalid') return null;
    if (!tellAgain && toldResult === found.stamp) return null;
    toldResult = found.stamp;
    if (found.kind === 'object') tell({ kind: 'result', name, value: found.value, replaced: found.replaced });
    else tell({ kind: 'invalid', name, reason: found.reason, message: found.message });
    return null;
  }

  async function lookForChange(): Promise<void> {
    const trace = await folderTrace(paths.resultsDir, paths.stop);
    if (lastTrace !== null && trace !== null && trace !== lastTrace) tell({ kind: 'changed', name });
    lastTrace = trace;
  }

  function run(tellAgain: boolean): Promise<void> {
    return inTurn(async () => {
      isPoked = false;
      again?.cancel();
      again = null;
      try {
        const againMs = await lookOnce(tellAgain);
        isUndecided = againMs !== null;
        if (againMs !== null && !isEnded) again = clock.after(againMs, poke);
      } finally {
        wakeWaiters();
      }
    });
  }

  function wakeWaiters(): void {
    const waiting = waiters;
    waiters = [];
    for (const wake of waiting) wake();
  }

  function poke(): void {
    if (isPoked || isEnded) return;
    isPoked = true;
    run(false).catch((error: unknown) => warn('The results folder cannot be looked at.', { error: messageOf(error) }));
  }

  return {
    name,
    poke,
    async look() {
      const asked = clock.monotonicMs();
      askedAtMs = [...askedAtMs, asked];
      try {
        await run(true);
        while (isUndecided && !isEnded) await new Promise<void>((resolve) => waiters.push(resolve));
      } finally {
        askedAtMs = askedAtMs.toSpliced(askedAtMs.indexOf(asked), 1);
      }
    },
    end() {
      isEnded = true;
      again?.cancel();
      wakeWaiters();
      return inTurn(() => Promise.resolve());
    },
  };
}
