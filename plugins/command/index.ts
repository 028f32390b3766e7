/**
 * Wakes any program: `command({ argv: ['node', 'agent.mjs'] })`. The task is passed on standard input, as a file and,
 * if wanted, as an argument.
 */
import { basename, resolve } from 'node:path';
import {
  agentProgram,
  defineWakeRunner,
  programRunner,
  Type,
  withIgnored,
  type ConfigProblem,
  type OptionsOf,
  type ProgramStart,
  type RunnerContext,
  type WakeRequest,
} from '../plugin.ts';
import { argvProblems, expandArgv, openTextArguments } from './argv.ts';
import { checkCommand } from './check.ts';
import { missingScript } from './missing-script.ts';
import { environmentProblems } from './environment-problems.ts';
import { lastLineDialect } from './dialect.ts';

const GRACE_MS_MAX = 600_000;
/** A week, as for every agent program. */
const IDLE_MS_MAX = 604_800_000;
const EXIT_CODE_MAX = 255;

/** Causes that an exit code can stand for. */
const FAILURE_CAUSES = ['auth', 'config', 'rate_limited', 'model_unavailable', 'limit', 'denied', 'agent_failed'] as const;

const commandOptions = Type.Object({
  /**
   * The program, then its arguments. `${TASK_ID}`, `${TASK_DESCRIPTION}` and `${TASK_JSON}` in arguments are replaced.
   */
  argv: Type.Array(Type.String(), { minItems: 1 }),
  /** Working directory; relative to the config file, whose folder is the default. */
  cwd: Type.Optional(Type.String({ minLength: 1 })),
  /** Variables to set. */
  env: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** Names of the sidecar's variables to pass on. */
  passEnv: Type.Optional(Type.Array(Type.String())),
  /** Milliseconds between SIGTERM and SIGKILL when the run is stopped. Default 5,000. */
  graceMs: Type.Optional(Type.Integer({ minimum: 0, maximum: GRACE_MS_MAX })),
  /**
   * How the program reports its result. `files`: in its results folder, whatever it prints. `last-json-line`: the last
   * line of standard output that is a JSON object, together with exit code 0. Default `files`.
   */
  report: Type.Optional(Type.Enum(['files', 'last-json-line'])),
  /**
   * The program only wakes an agent and hands over (`docker run -d`, `tmux`, a notification): after exit code 0 it is
   * done, and the agent reports through files. Default false: a program that exits that early is started again.
   */
  detaches: Type.Optional(Type.Boolean()),
  /**
   * Allows the text of a task to be executed: `sh -c`, `ssh`, `python -c`. Then anyone who can submit can run anything
   * here. Default false.
   */
  taskTextAsCode: Type.Optional(Type.Boolean()),
  /** Milliseconds without output, with `last-json-line`, after which the program is stopped. Default 600,000. */
  idleMs: Type.Optional(Type.Integer({ minimum: 1, maximum: IDLE_MS_MAX })),
  /**
   * Names of checks whose failure does not keep the agent from getting tasks, for checks that fail although the program
   * works.
   */
  ignoreChecks: Type.Optional(Type.Array(Type.Enum(['cwd', 'program']))),
  /** Failure causes by exit code, with `last-json-line`: `{ 3: 'auth', 75: 'rate_limited' }`. */
  exitCodes: Type.Optional(Type.Record(Type.String(), Type.Enum(FAILURE_CAUSES))),
});

export type CommandOptions = OptionsOf<typeof commandOptions>;

/**
 * The command runner. The program is woken and then on its own, reporting through files; or its output is parsed, and
 * its last line is the result. No shell is involved: an argument stays one argument, whatever the task's text contains.
 */
export const command = defineWakeRunner({
  name: 'command',
  options: commandOptions,
  problems: (options) => [
    ...argvProblems(options.argv, options.taskTextAsCode),
    ...environmentProblems(options),
    ...outputOnlyProblems(options),
  ],
  create: (context) => createCommand(context),
});

function createCommand({ options, ...deps }: RunnerContext<CommandOptions>) {
  const { argv, env, passEnv, graceMs, exitCodes = {} } = options;
  const { baseDir, log } = deps;
  const cwd = resolve(baseDir, options.cwd ?? '.');

  for (const index of openTextArguments(argv)) {
    log.warn(
      `argv[${String(index)}] begins with task text, which a program may take for an option; put "--" before it if the program knows that`,
    );
  }

  const script = missingScript({ argv, cwd, path: env?.['PATH'] ?? process.env['PATH'] });
  if (script !== null) log.warn(`argv names the script "${script}", but there is no such file in "${cwd}", where the program runs`);

  const start = (request: WakeRequest): ProgramStart => ({ argv: expandArgv(argv, request), cwd, env, passEnv });
  const check = async () => withIgnored(await checkCommand({ argv, cwd, env, passEnv }), options.ignoreChecks);
  if (options.report !== 'last-json-line') return programRunner(deps, { start, graceMs, detaches: options.detaches, check });
  return agentProgram(deps, {
    name: 'command',
    title: basename(argv[0] ?? ''),
    settings: { graceMs, ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }) },
    start: ({ request }) => ({ ...start(request), input: `${JSON.stringify(request.task)}\n` }),
    dialect: lastLineDialect(exitCodes),
    printsBeforeAnswer: false,
    printsEvents: false,
    check,
  });
}

/** Problems with options that only apply if the output is parsed. */
function outputOnlyProblems({ report, exitCodes = {}, ...options }: CommandOptions): readonly ConfigProblem[] {
  const isBoth = report === 'last-json-line' && options.detaches === true;
  const noCodes = Object.keys(exitCodes).filter((code) => !/^[1-9][0-9]{0,2}$/.test(code) || Number(code) > EXIT_CODE_MAX);
  const unparsedOnly = (['exitCodes', 'idleMs'] as const).filter(
    (name) => report !== 'last-json-line' && { exitCodes: Object.keys(exitCodes).length > 0, idleMs: options.idleMs !== undefined }[name],
  );
  return [
    ...noCodes.map((code) => ({
      path: `exitCodes.${code}`,
      message: `must be a code from 1 to ${String(EXIT_CODE_MAX)}; 0 is not a failure`,
    })),
    ...(isBoth ? [{ path: 'detaches', message: 'needs report: "files"; a program that hands over and ends has no last line' }] : []),
    ...unparsedOnly.map((path) => ({ path, message: `only applies with report: "last-json-line"; ${INSTEAD[path]}` })),
  ];
}

const INSTEAD = {
  exitCodes: 'result files contain the reason themselves',
  idleMs: "for files, set the sidecar's timing.idleMs",
};
