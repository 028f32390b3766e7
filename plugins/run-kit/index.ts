/** Building blocks for wake runners that start a program, for built-in and third-party runners alike. */
export * from './agent/index.ts';
export { adoptRun, type AdoptRunOptions } from './process/adopt-run.ts';
export { assertCanStartPrograms } from './process/can-start-programs.ts';
export { findProgram, shownPath, type FindProgramOptions, type FoundProgram } from './process/find-program.ts';
export { followOutput, type FollowOutputOptions, type LineParser, type OutputFollower, type ParsedEvent } from './output/follow-output.ts';
export { jsonLines, objectIn, type JsonObject } from './output/json-lines.ts';
export {
  launch,
  launchPiped,
  type Launched,
  type LaunchedPiped,
  type LaunchOptions,
  type LaunchOutcome,
  type ProcessExit,
} from './process/launch.ts';
export { lineFollower, type FollowedLines, type LineFollowerOptions } from './output/line-follower.ts';
export { LINE_BYTES_MAX, lineSplitter, type DroppedLine, type LineSplitter, type SplitLines } from './output/line-splitter.ts';
export { isAlive, markOf, type ProcessRow, type ProcessTable } from './process/process-table.ts';
export { systemProcessTable } from './process/process-table-system.ts';
export { programRunner, type ProgramRunnerOptions } from './program-runner.ts';
export {
  baseEnvironment,
  runEnvironment,
  TASK_VARIABLES,
  type BaseEnvironmentOptions,
  type RunEnvironmentOptions,
} from './process/run-environment.ts';
export { RUN_STREAMS_BYTES_MAX, runFiles, STDERR_TAIL_BYTES, tailOf, type RunFiles } from './process/run-files.ts';
export type { ProgramRunnerDeps, ProgramStart } from './started-program.ts';
export { stopTree, type StopTreeOptions, type StopTreeResult } from './process/stop-tree.ts';
export { wakeEvents, type Emit } from './events/wake-events.ts';
export { GRACE_MS, graceOf, tooMuchOutput, watchRun, type WatchRunOptions } from './process/watch-run.ts';
