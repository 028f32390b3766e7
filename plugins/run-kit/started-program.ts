/** What all runners that start a program have in common: start it, follow it, adopt it, stop it, and hear what it says. */
import { resolve } from 'node:path';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { AdoptedRun, StopSignal, WakeEvent, WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import { adoptRun } from './process/adopt-run.ts';
import { followOutput, type HearInTime, type OutputFollower, type SaidEvent } from './output/follow-output.ts';
import { launch } from './process/launch.ts';
import type { DroppedLine } from './output/line-splitter.ts';
import { systemProcessTable } from './process/process-table-system.ts';
import { runEnvironment } from './process/run-environment.ts';
import { wakeEvents, type Emit } from './events/wake-events.ts';
import { watchRun } from './process/watch-run.ts';

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

/** What the runner needs of the sidecar: the context that `create` gets has it. */
export interface ProgramRunnerDeps {
  /** What `cwd` is relative to. */
  readonly baseDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

type SpawnFailure = Extract<WakeEvent, { readonly type: 'failed' }> & { readonly phase: 'spawn' };
type Exited = Extract<WakeEvent, { readonly type: 'exited' }>;

/** Who listens to one run. */
export interface RunEars {
  readonly hear: HearInTime;
  /** Hears standard error; left out, only its end is kept. */
  readonly hearError?: HearInTime | undefined;
  readonly lineBytesMax?: number | undefined;
  /** Told of each line of standard output that was too long and is left out, where it stood. */
  readonly onDropped?: ((line: DroppedLine) => void) | undefined;
  /** Aborted when the run is to be ended. */
  readonly enough?: StopSignal | undefined;
  /** The process exists: told before anything is heard. */
  begun?(): void;
  /** It has ended by itself, and all that it said was heard: what is to be told before that. */
  ended?(exited: Exited): Promise<SaidEvent | undefined>;
  /** Asked last: the session that it was to go on with is not there any more, and it has done nothing. */
  isSessionGone?(): boolean;
  /** Nothing more is heard: lets go of timers. */
  close?(): void;
}

export interface StartedProgramOptions {
  /** What to start, or why nothing can be. */
  readonly start: (request: WakeRequest) => ProgramStart | SpawnFailure | Promise<ProgramStart | SpawnFailure>;
  /** Left out, the agent is on its own. `tell` is for what is not said by a line; asked once for each run, adopted ones too. */
  readonly ears?: ((request: WakeRequest, tell: Emit) => RunEars | Promise<RunEars>) | undefined;
  readonly graceMs: number;
  /** The program only wakes its agent and hands over: ended with 0, it has done its part. Default false. */
  readonly detaches?: boolean | undefined;
  readonly check?: WakeRunner['check'];
}

/** A runner that keeps all that `WakeRunner` asks for. */
export function startedProgram(deps: ProgramRunnerDeps, options: StartedProgramOptions): WakeRunner {
  const { baseDir, clock, log } = deps;
  const { start, ears: earsFor, check, graceMs, detaches } = options;
  const table = systemProcessTable();
  const common = { graceMs, clock, log, table };

  return {
    adoptable: true,
    wake: (request: WakeRequest, signal: StopSignal): AsyncIterable<WakeEvent> =>
      wakeEvents(async (emit, left) => {
        const started = await start(request);
        if ('type' in started) return emit(started);
        const { argv, input, cwd: folder, env, passEnv } = started;
        const cwd = resolve(baseDir, folder ?? '.');
        const ears = await earsFor?.(request, emit);
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
          const { message, retryable, cause: kind, details } = outcome;
          return emit({ type: 'failed', phase: 'spawn', kind, message, retryable, details });
        }
        const { main, ended } = outcome;
        const tell = hearing({ ...common, ears, request, left }, emit);
        await tell({ type: 'spawned', process: main });
        if (ears === undefined) await tell({ type: 'woken' });
        const { runId, runDir } = request;
        const watched = { ...common, runId, runDir, main, ended, detaches, signal, left, enough: ears?.enough };
        await watchRun(watched, tell).finally(() => ears?.close?.());
      }),
    attach: (run: AdoptedRun, signal: StopSignal): AsyncIterable<WakeEvent> =>
      wakeEvents(async (emit, left) => {
        const ears = await earsFor?.(run, emit);
        const adopted = { ...common, run, isLaunched: true, detaches, signal, left, enough: ears?.enough };
        await adoptRun(adopted, hearing({ ...common, ears, request: run, left }, emit)).finally(() => ears?.close?.());
      }),
    ...(check === undefined ? {} : { check }),
  };
}

interface Hearing {
  readonly ears: RunEars | undefined;
  readonly request: WakeRequest & { readonly process?: AdoptedRun['process'] };
  readonly left: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
}

/** An `emit` that also tells what the program says: from the moment it is known, and all of it before its end is told. */
function hearing({ ears, request, left, clock, log }: Hearing, emit: Emit): Emit {
  if (ears === undefined) return emit;
  const { runId, runDir } = request;
  const { hear, hearError, lineBytesMax, onDropped } = ears;
  const common = { runId, runDir, emit, left, lineBytesMax, clock, log };
  const streams: readonly OutputFollower[] = [
    followOutput({ ...common, hear, onDropped }),
    ...(hearError === undefined ? [] : [followOutput({ ...common, hear: hearError, stream: 'stderr' })]),
  ];
  const begin = (): void => {
    ears.begun?.();
    for (const stream of streams) stream.begin();
  };
  if (request.process !== null && request.process !== undefined) begin();
  return async (event) => {
    if (event.type === 'exited' || event.type === 'stopped') for (const stream of streams) await stream.finish();
    const lastWord = event.type === 'exited' ? await ears.ended?.(event) : undefined;
    if (lastWord !== undefined) await emit(lastWord);
    await emit(event.type === 'exited' && ears.isSessionGone?.() === true ? { ...event, sessionGone: true } : event);
    if (event.type === 'spawned') begin();
  };
}
