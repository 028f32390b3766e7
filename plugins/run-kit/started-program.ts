/** Shared by all runners that start a program: start, follow, adopt and stop it, and parse its output. */
import { resolve } from 'node:path';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { AdoptedRun, StopSignal, WakeEvent, WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import { adoptRun } from './process/adopt-run.ts';
import { followOutput, type AsyncLineParser, type OutputFollower, type ParsedEvent } from './output/follow-output.ts';
import { isRecord } from '../../core/domain/describe-value.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { assertCanStartPrograms } from './process/can-start-programs.ts';
import { launch } from './process/launch.ts';
import type { DroppedLine } from './output/line-splitter.ts';
import { systemProcessTable } from './process/process-table-system.ts';
import { runEnvironment } from './process/run-environment.ts';
import { wakeEvents, type Emit } from './events/wake-events.ts';
import { watchRun } from './process/watch-run.ts';

/** What to start for one assignment. */
export interface ProgramStart {
  /** The program and its arguments. No shell is involved: each stays one argument, whatever it contains. */
  readonly argv: readonly string[];
  /** Standard input; default: the task as one line of JSON. */
  readonly input?: string | undefined;
  /** Working directory; relative to the config file, whose folder is the default. */
  readonly cwd?: string | undefined;
  /** Variables to set, in addition to those of `runEnvironment`. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Names of the sidecar's variables to pass on. */
  readonly passEnv?: readonly string[] | undefined;
}

/** What the runner needs from the sidecar; part of the context passed to `create`. */
export interface ProgramRunnerDeps {
  /** Base for a relative `cwd`. */
  readonly baseDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Default: `process.platform`. For tests. */
  readonly platform?: string | undefined;
}

/** The failure of a task for which nothing can be started. */
export type SpawnFailure = Extract<WakeEvent, { readonly type: 'failed' }> & { readonly phase: 'spawn' };
type ExitedEvent = Extract<WakeEvent, { readonly type: 'exited' }>;

/** Listens to one run. */
export interface RunListener {
  readonly onLine: AsyncLineParser;
  /** Parses standard error; without it, only the tail is kept. */
  readonly onErrorLine?: AsyncLineParser | undefined;
  readonly lineBytesMax?: number | undefined;
  /** Called for each line of standard output that was dropped because of its length, in order. */
  readonly onDropped?: ((line: DroppedLine) => void) | undefined;
  /** Called when the program has emptied the file of its standard output: lines may be lost. */
  onRewritten?(): void;
  /** Aborted to end the run. */
  readonly endSignal?: StopSignal | undefined;
  /** Called when the process exists, before any output is parsed. */
  onStarted?(): void;
  /**
   * Called when the program has exited by itself; returns a final event, if any. `isWhole`: all output was parsed; if not, a failure was
   * emitted, and what was parsed is no result.
   */
  onEnd?(exited: ExitedEvent, isWhole: boolean): Promise<ParsedEvent | undefined>;
  /** Called when the run was stopped; returns the result that the program had already reported, if any. `isWhole`: as for `onEnd`. */
  onStopped?(isWhole: boolean): Promise<ParsedEvent | undefined>;
  /** Called last: whether the run did nothing because the session to resume no longer exists. */
  isSessionGone?(): boolean;
  /** Called when no more output will come; releases timers. */
  close?(): void;
}

export interface StartedProgramOptions {
  /** What to start, or why nothing can be. */
  readonly start: (request: WakeRequest) => ProgramStart | SpawnFailure | Promise<ProgramStart | SpawnFailure>;
  /**
   * Without it, the agent is on its own. Called once per run, adopted ones included; `emit` is for events that do not
   * come from a line.
   */
  readonly listener?: ((request: WakeRequest, emit: Emit) => RunListener | Promise<RunListener>) | undefined;
  readonly graceMs: number;
  /** The program only wakes its agent and hands over: after exit code 0 it is done. Default false. */
  readonly detaches?: boolean | undefined;
  readonly check?: WakeRunner['check'];
}

/** What a plugin's `start` returns is checked like any other value from outside. */
function assertStart(started: ProgramStart | SpawnFailure): void {
  const given: unknown = started;
  const { type, argv } = isRecord(given) ? given : {};
  if (type !== undefined || (Array.isArray(argv) && argv.length > 0 && argv.every((one) => typeof one === 'string'))) return;
  const found = JSON.stringify(given)?.slice(0, 200) ?? typeof given;
  throw new AgentcomError('AC_PLUGIN_INVALID', `"start" returned ${found}, expected { argv: [program, …arguments] }, all of them strings.`);
}

/** A runner that meets all obligations of `WakeRunner`. */
export function startedProgram(deps: ProgramRunnerDeps, options: StartedProgramOptions): WakeRunner {
  const { baseDir, clock, log } = deps;
  const { start, listener: listenerFor, check, graceMs, detaches } = options;
  assertCanStartPrograms(deps.platform);
  if (typeof start !== 'function')
    throw new AgentcomError(
      'AC_PLUGIN_INVALID',
      `A runner of programs needs "start", a function that returns { argv }: found ${typeof start}.`,
    );
  const table = systemProcessTable(deps.platform);
  const common = { graceMs, clock, log, table };

  return {
    adoptable: true,
    wake: (request: WakeRequest, signal: StopSignal): AsyncIterable<WakeEvent> =>
      wakeEvents(async (emit, detachSignal) => {
        const started = await start(request);
        assertStart(started);
        if ('type' in started) return emit(started);
        const { argv, input, cwd: folder, env, passEnv } = started;
        const cwd = resolve(baseDir, folder ?? '.');
        const listener = await listenerFor?.(request, emit);
        const outcome = await launch({
          argv,
          cwd,
          env: runEnvironment({ request, cwd, env, passEnv }),
          runId: request.runId,
          runDir: request.runDir,
          input: input ?? `${JSON.stringify(request.task)}\n`,
          table,
          signal,
        });
        if (outcome.kind === 'aborted') return emit({ type: 'stopped', survivors: [] });
        if (outcome.kind === 'failed') {
          const { message, retryable, cause: kind, details } = outcome;
          return emit({ type: 'failed', phase: 'spawn', kind, message, retryable, details });
        }
        const { main, exited } = outcome;
        const output = withOutput({ ...common, listener, request, detachSignal }, emit);
        const emitAll = output.emit;
        await emitAll({ type: 'spawned', process: main });
        if (listener === undefined) await emitAll({ type: 'woken' });
        const { runId, runDir } = request;
        const watched = { ...common, runId, runDir, main, exited, detaches, signal, detachSignal, endSignal: listener?.endSignal };
        await watchRun(watched, emitAll).finally(output.end);
      }),
    attach: (run: AdoptedRun, signal: StopSignal): AsyncIterable<WakeEvent> =>
      wakeEvents(async (emit, detachSignal) => {
        const listener = await listenerFor?.(run, emit);
        const adopted = { ...common, run, isLaunched: true, detaches, signal, detachSignal, endSignal: listener?.endSignal };
        const output = withOutput({ ...common, listener, request: run, detachSignal }, emit);
        await adoptRun(adopted, output.emit).finally(output.end);
      }),
    ...(check === undefined ? {} : { check }),
  };
}

interface OutputContext {
  readonly listener: RunListener | undefined;
  readonly request: WakeRequest & { readonly process?: AdoptedRun['process'] };
  readonly detachSignal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
}

/** A line that nobody parses is output, for whoever watches the agent. */
const shownOnly = (): undefined => undefined;

/** An `emit` that also reports the program's output: from `spawned` on, and all of it before the end. */
function withOutput(
  { listener, request, detachSignal, clock, log }: OutputContext,
  emit: Emit,
): { readonly emit: Emit; end(): Promise<void> } {
  const { runId, runDir } = request;
  const { onLine, onErrorLine, lineBytesMax, onDropped } = listener ?? {};
  const onRewritten = (): void => listener?.onRewritten?.();
  const common = { runId, runDir, emit, detachSignal, lineBytesMax, clock, log };
  const streams: readonly OutputFollower[] = [
    followOutput({ ...common, stream: 'stdout', onLine: onLine ?? shownOnly, isNeeded: onLine !== undefined, onDropped, onRewritten }),
    followOutput({ ...common, stream: 'stderr', onLine: onErrorLine ?? shownOnly, isNeeded: onErrorLine !== undefined }),
  ];
  const begin = (): void => {
    listener?.onStarted?.();
    for (const stream of streams) stream.begin();
  };
  if (request.process !== null && request.process !== undefined) begin();
  let isFinished = false;
  let isWhole = true;
  const finish = async (): Promise<void> => {
    if (isFinished) return;
    isFinished = true;
    for (const stream of streams) if (!(await stream.finish())) isWhole = false;
  };
  const emitAll: Emit = async (event) => {
    if (event.type === 'exited' || event.type === 'stopped') await finish();
    if (event.type === 'failed') isWhole = false; // It was ended for its output.
    let finalEvent: ParsedEvent | undefined;
    if (event.type === 'exited') finalEvent = await listener?.onEnd?.(event, isWhole);
    if (event.type === 'stopped') finalEvent = await listener?.onStopped?.(isWhole);
    if (finalEvent !== undefined) await emit(finalEvent);
    await emit(event.type === 'exited' && listener?.isSessionGone?.() === true ? { ...event, sessionGone: true } : event);
    if (event.type === 'spawned') begin();
  };
  return {
    emit: emitAll,
    // A program that hands over has ended, though its run goes on.
    async end() {
      if (!detachSignal.aborted) await finish();
      listener?.close?.();
    },
  };
}
