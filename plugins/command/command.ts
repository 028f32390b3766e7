/** Wakes any program: `command({ argv: ['node', 'agent.mjs'] })`. The task reaches it by standard input, by file and, if wanted, by argument. */
import { resolve } from 'node:path';
import { defineWakeRunner, programRunner, Type, type OptionsOf, type RunnerContext } from '../plugin.ts';
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
  const { argv, env, passEnv, graceMs } = options;
  const cwd = resolve(baseDir, options.cwd ?? '.');

  for (const index of openTextArguments(argv)) {
    log.warn(
      `argv[${String(index)}] begins with task text, which a program may take for an option; put "--" before it if the program knows that`,
    );
  }

  return programRunner(
    { baseDir, clock, log },
    {
      start: (request) => ({ argv: expandArgv(argv, request), cwd, env, passEnv }),
      graceMs,
      check: () => checkCommand({ argv, cwd, env, passEnv }),
    },
  );
}
