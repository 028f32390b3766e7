/** Wakes any program: `command({ argv: ['node', 'agent.mjs'] })`. The task reaches it by standard input, by file and, if wanted, by argument. */
import { resolve } from 'node:path';
import type { AdoptedRun, StopSignal, WakeEvent, WakeRequest } from '../../core/ports/wake-runner.ts';
import { defineWakeRunner, Type, type OptionsOf, type RunnerContext } from '../plugin.ts';
import { adoptRun, GRACE_MS, launch, runEnvironment, systemProcessTable, wakeEvents, watchRun } from '../run-kit/index.ts';
import { argvProblems, expandArgv, openTextArguments } from './argv.ts';
import { checkCommand } from './check-command.ts';
import { environmentProblems } from './environment-problems.ts';

const GRACE_MS_MAX = 600_000;

const commandOptions = Type.Object({
  /** The program, then its arguments. `${TASK_ID}`, `${TASK_DESCRIPTION}` and `${TASK_JSON}` in an argument are replaced by the task's. */
  argv: Type.Array(Type.String(), { minItems: 1 }),
  /** Where it runs; relative to the config file, which is also the default. */
  cwd: Type.Optional(Type.String({ minLength: 1 })),
  /** Variables to set. */
  env: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** Names of variables of the sidecar to pass on. */
  passEnv: Type.Optional(Type.Array(Type.String())),
  /** Milliseconds between SIGTERM and SIGKILL when the run is stopped. Default 5,000. */
  graceMs: Type.Optional(Type.Integer({ minimum: 0, maximum: GRACE_MS_MAX })),
});

export type CommandOptions = OptionsOf<typeof commandOptions>;

/**
 * The command runner. Its program is woken and then on its own: it tells by the files of its results folder how it gets
 * on. No shell is involved anywhere; an argument stays one argument, whatever the task's text holds.
 */
export const command = defineWakeRunner({
  name: 'command',
  options: commandOptions,
  problems: (options) => [...argvProblems(options.argv), ...environmentProblems(options)],
  create: (context) => createCommand(context),
});

function createCommand({ options, baseDir, clock, log }: RunnerContext<CommandOptions>) {
  const { argv, env, passEnv, graceMs = GRACE_MS } = options;
  const cwd = resolve(baseDir, options.cwd ?? '.');
  const table = systemProcessTable();
  const common = { graceMs, clock, log, table };

  for (const index of openTextArguments(argv)) {
    log.warn(
      `argv[${String(index)}] begins with task text, which a program may take for an option; put "--" before it if the program knows that`,
    );
  }

  return {
    adoptable: true,
    wake: (request: WakeRequest, signal: StopSignal): AsyncIterable<WakeEvent> =>
      wakeEvents(async (emit, left) => {
        if (signal.aborted) return emit({ type: 'stopped', survivors: [] });
        const outcome = await launch({
          argv: expandArgv(argv, request),
          cwd,
          env: runEnvironment({ request, cwd, env, passEnv }),
          runDir: request.runDir,
          input: `${JSON.stringify(request.task)}\n`,
          table,
          signal,
        });
        if (outcome.kind === 'stopped') return emit({ type: 'stopped', survivors: [] });
        if (outcome.kind === 'refused') {
          const { message, retryable, details } = outcome;
          return emit({ type: 'failed', phase: 'spawn', message, retryable, details });
        }
        const { main, ended } = outcome;
        await emit({ type: 'spawned', process: main });
        await emit({ type: 'woken' });
        return watchRun({ ...common, runId: request.runId, runDir: request.runDir, main, ended, signal, left }, emit);
      }),
    attach: (run: AdoptedRun, signal: StopSignal): AsyncIterable<WakeEvent> =>
      wakeEvents((emit, left) => adoptRun({ ...common, run, signal, left }, emit)),
    check: () => checkCommand({ argv, cwd, env, passEnv }),
  };
}
