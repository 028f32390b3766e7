/** A whole runner around a program that is started for each assignment: what most plugins need. */
import { resolve } from 'node:path';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { AdoptedRun, RunnerCheck, StopSignal, WakeEvent, WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import { adoptRun } from './adopt-run.ts';
import { followOutput, type Hear } from './follow-output.ts';
import { launch } from './launch.ts';
import { systemProcessTable } from './process-table-system.ts';
import { runEnvironment } from './run-environment.ts';
import { wakeEvents, type Emit } from './wake-events.ts';
import { GRACE_MS, watchRun } from './watch-run.ts';

/** What is started for one assignment. */
export interface ProgramStart {
  /** The program and its arguments. No shell is involved: each stays one argument, whatever is in it. */
  readonly argv: readonly string[];
  /** What it reads from standard input; default: the task as one line of JSON. */
  readonly input?: string | undefined;
  /** Where it runs; relative to the config file, which is also the default. */
  readonly cwd?: string | undefined;
  /** Variables to set, beside the few that `runEnvironment` always gives. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Names of variables of the sidecar to pass on. */
  readonly passEnv?: readonly string[] | undefined;
}

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
  /** For the doctor: whether the program could be started. */
  readonly check?: (() => Promise<readonly RunnerCheck[]>) | undefined;
}

/** What the runner needs of the sidecar: the context that `create` gets has it. */
export interface ProgramRunnerDeps {
  /** What `cwd` is relative to. */
  readonly baseDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** A runner that keeps all that `WakeRunner` asks for: starts, follows, adopts and stops with the whole process tree. */
export function programRunner(deps: ProgramRunnerDeps, options: ProgramRunnerOptions): WakeRunner {
  const { baseDir, clock, log } = deps;
  const { start, hear, check, graceMs = GRACE_MS } = options;
  const table = systemProcessTable();
  const common = { graceMs, clock, log, table };

  return {
    adoptable: true,
    wake: (request: WakeRequest, signal: StopSignal): AsyncIterable<WakeEvent> =>
      wakeEvents(async (emit, left) => {
        const { argv, input, cwd: folder, env, passEnv } = start(request);
        const cwd = resolve(baseDir, folder ?? '.');
        const outcome = await launch({
          argv,
          cwd,
          env: runEnvironment({ request, cwd, env, passEnv }),
          runDir: request.runDir,
          input: input ?? `${JSON.stringify(request.task)}\n`,
          table,
          signal,
        });
        if (outcome.kind === 'stopped') return emit({ type: 'stopped', survivors: [] });
        if (outcome.kind === 'refused') {
          const { message, retryable, details } = outcome;
          return emit({ type: 'failed', phase: 'spawn', message, retryable, details });
        }
        const { main, ended } = outcome;
        const tell = hearing({ ...common, hear, request, left }, emit);
        await tell({ type: 'spawned', process: main });
        if (hear === undefined) await tell({ type: 'woken' });
        return watchRun({ ...common, runId: request.runId, runDir: request.runDir, main, ended, signal, left }, tell);
      }),
    attach: (run: AdoptedRun, signal: StopSignal): AsyncIterable<WakeEvent> =>
      wakeEvents((emit, left) =>
        adoptRun({ ...common, run, isLaunched: true, signal, left }, hearing({ ...common, hear, request: run, left }, emit)),
      ),
    ...(check === undefined ? {} : { check }),
  };
}

interface Hearing {
  readonly hear: Hear | undefined;
  readonly request: WakeRequest & { readonly process?: AdoptedRun['process'] };
  readonly left: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
}

/** An `emit` that also tells what the program says: from the moment it is known, and all of it before its end is told. */
function hearing({ hear, request, left, clock, log }: Hearing, emit: Emit): Emit {
  if (hear === undefined) return emit;
  const output = followOutput({ runId: request.runId, runDir: request.runDir, hear, emit, left, clock, log });
  if (request.process !== null && request.process !== undefined) output.begin();
  return async (event) => {
    if (event.type === 'exited' || event.type === 'stopped') await output.finish();
    await emit(event);
    if (event.type === 'spawned') output.begin();
  };
}
