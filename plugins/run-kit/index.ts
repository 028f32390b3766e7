/** What every wake runner that starts a program needs, ours and a stranger's alike. */
export * from './agent/index.ts';
export { adoptRun, type AdoptRunOptions } from './adopt-run.ts';
export { findProgram, type FindProgramOptions, type FoundProgram } from './find-program.ts';
export { followOutput, type FollowOutputOptions, type Hear, type OutputFollower, type SaidEvent } from './follow-output.ts';
export { jsonLines, objectIn, type SaidObject } from './json-lines.ts';
export {
  launch,
  launchPiped,
  type Launched,
  type LaunchedPiped,
  type LaunchOptions,
  type LaunchOutcome,
  type ProcessEnd,
} from './launch.ts';
export { lineFollower, type FollowedLines, type LineFollowerOptions } from './line-follower.ts';
export { LINE_BYTES_MAX, lineSplitter, type DroppedLine, type LineSplitter, type SplitLines } from './line-splitter.ts';
export { isAlive, markOf, type ProcessRow, type ProcessTable } from './process-table.ts';
export { systemProcessTable } from './process-table-system.ts';
export { programRunner, type ProgramRunnerOptions } from './program-runner.ts';
export {
  baseEnvironment,
  runEnvironment,
  TASK_VARIABLES,
  type BaseEnvironmentOptions,
  type RunEnvironmentOptions,
} from './run-environment.ts';
export { RUN_STREAMS_BYTES_MAX, runFiles, STDERR_TAIL_BYTES, tailOf, type RunFiles } from './run-files.ts';
export type { ProgramRunnerDeps, ProgramStart } from './started-program.ts';
export { stopTree, type StopTreeOptions, type StopTreeResult } from './stop-tree.ts';
export { wakeEvents, type Emit } from './wake-events.ts';
export { GRACE_MS, graceOf, tooMuchOutput, watchRun, type WatchRunOptions } from './watch-run.ts';
