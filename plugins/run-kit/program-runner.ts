/** A whole runner around a program that is started for each assignment: what most plugins need. */
import type { WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import type { Hear } from './output/follow-output.ts';
import { startedProgram, type ProgramRunnerDeps, type ProgramStart } from './started-program.ts';
import { GRACE_MS } from './process/watch-run.ts';

export interface ProgramRunnerOptions {
  readonly start: (request: WakeRequest) => ProgramStart;
  /**
   * Reads a line of the program's standard output. With it the sidecar listens to the agent, which needs to write no
   * files; without it the agent is on its own and tells by the files of its results folder. A run of an earlier sidecar
   * is heard from its first line again, so hearing a line twice must do no harm.
   */
  readonly hear?: Hear | undefined;
  /** Milliseconds between SIGTERM and SIGKILL when a run is stopped and the stop says nothing of it. Default 5,000. */
  readonly graceMs?: number | undefined;
  /**
   * The program only wakes an agent and hands over (`docker run -d`, `tmux`, a nudge): ended with 0, it has done its part, and the agent
   * tells the rest by its files. Not together with `hear`. Default false.
   */
  readonly detaches?: boolean | undefined;
  /** For the doctor: whether the program could be started. */
  readonly check?: WakeRunner['check'];
}

/** A runner that keeps all that `WakeRunner` asks for: starts, follows, adopts and stops with the whole process tree. */
export function programRunner(deps: ProgramRunnerDeps, options: ProgramRunnerOptions): WakeRunner {
  const { start, hear, check, detaches, graceMs = GRACE_MS } = options;
  return startedProgram(deps, { start, graceMs, detaches, check, ears: hear === undefined ? undefined : () => ({ hear }) });
}
