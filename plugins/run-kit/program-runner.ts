/** A complete runner for a program that is started for each assignment; what most plugins need. */
import type { WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import type { LineParser } from './output/follow-output.ts';
import { startedProgram, type ProgramRunnerDeps, type ProgramStart, type RunListener } from './started-program.ts';
import { agentFailed } from './agent/dialect.ts';
import { GRACE_MS } from './process/watch-run.ts';

/** A program that is started once for each task. */
export interface ProgramRunnerOptions {
  readonly start: (request: WakeRequest) => ProgramStart;
  /**
   * Parses a line of the program's standard output. With it, the sidecar follows the output and the agent needs no
   * files; without it, the agent reports through files in its results folder. After a sidecar restart a run's output is
   * parsed again from its first line, so parsing a line twice must be harmless.
   */
  readonly onLine?: LineParser | undefined;
  /** Milliseconds between SIGTERM and SIGKILL, unless the stop specifies its own grace period. Default 5,000. */
  readonly graceMs?: number | undefined;
  /**
   * The program only wakes an agent and hands over (`docker run -d`, `tmux`, a notification): after exit code 0 it is
   * done, and the agent reports through files. Not together with `onLine`. Default false.
   */
  readonly detaches?: boolean | undefined;
  /** For the doctor: whether the program could be started. */
  readonly check?: WakeRunner['check'];
}

/** A runner that meets all obligations of `WakeRunner`: starts, follows, adopts and stops whole process trees. */
export function programRunner(deps: ProgramRunnerDeps, options: ProgramRunnerOptions): WakeRunner {
  const { start, onLine, check, detaches, graceMs = GRACE_MS } = options;
  return startedProgram(deps, { start, graceMs, detaches, check, listener: onLine === undefined ? undefined : () => lineListener(onLine) });
}

/** A result in a line that was dropped is not just missing: the next attempt would print as long a line. */
function lineListener(onLine: LineParser): RunListener {
  let hasOutcome = false;
  let droppedLines = 0;
  return {
    onLine(line) {
      const parsed = onLine(line);
      hasOutcome ||= [parsed].flat().some((event) => event?.type === 'completed' || event?.type === 'failed');
      return parsed;
    },
    onDropped() {
      droppedLines += 1;
    },
    onEnd({ exitCode }) {
      const isLost = droppedLines > 0 && exitCode === 0 && !hasOutcome;
      return Promise.resolve(isLost ? agentFailed({ kind: 'limit', message: DROPPED, mayHaveSideEffects: true }) : undefined);
    },
  };
}

const DROPPED =
  'it printed a line of over 4 MiB or 20,000 object members, which was dropped and may have been its result. Write a large result to a file';
