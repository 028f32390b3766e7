/** Wakes any program: `command({ argv: ['node', 'agent.mjs'] })`. The task reaches it by standard input, by file and, if wanted, by argument. */
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
import { environmentProblems } from './environment-problems.ts';
import { lastLineDialect } from './dialect.ts';

const GRACE_MS_MAX = 600_000;
/** As of every agent program: a week. */
const IDLE_MS_MAX = 604_800_000;
const EXIT_CODE_MAX = 255;

/** The causes that an exit code can stand for. */
const FAILURE_CAUSES = ['auth', 'config', 'rate_limited', 'model_unavailable', 'limit', 'denied', 'agent_failed'] as const;

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
  /**
   * How it tells its result. `files`: in its results folder, whatever it prints. `last-json-line`: its last line of standard
   * output that is a JSON object, together with exit code 0. Default `files`.
   */
  report: Type.Optional(Type.Enum(['files', 'last-json-line'])),
  /**
   * It only wakes an agent and hands over (`docker run -d`, `tmux`, a nudge): ended with code 0, it has done its part, and the agent
   * tells the rest by its files. Default false: what ends that soon is started again.
   */
  detaches: Type.Optional(Type.Boolean()),
  /** The text of a task may be a program: `sh -c`, `ssh`, `python -c`. Then whoever submits may run anything here. Default false. */
  taskTextAsCode: Type.Optional(Type.Boolean()),
  /** Milliseconds that it may say nothing, with `last-json-line`; then it is stopped. Default 600,000. */
  idleMs: Type.Optional(Type.Integer({ minimum: 1, maximum: IDLE_MS_MAX })),
  /** Checks whose "not ok" gives the agent work all the same, by their names: where they are wrong and it works by hand. */
  ignoreChecks: Type.Optional(Type.Array(Type.Enum(['cwd', 'program']))),
  /** What exit codes mean, with `last-json-line`: `{ 3: 'auth', 75: 'rate_limited' }`. */
  exitCodes: Type.Optional(Type.Record(Type.String(), Type.Enum(FAILURE_CAUSES))),
});

export type CommandOptions = OptionsOf<typeof commandOptions>;

/**
 * The command runner. Its program is woken and then on its own: it tells by the files of its results folder how it gets
 * on; or it is heard, and its last line is its result. No shell is involved anywhere; an argument stays one argument, whatever the task's text holds.
 */
export const command = defineWakeRunner({
  name: 'command',
  options: commandOptions,
  problems: (options) => [
    ...argvProblems(options.argv, options.taskTextAsCode),
    ...environmentProblems(options),
    ...heardOnlyProblems(options),
  ],
  create: (context) => createCommand(context),
});

function createCommand({ options, ...sidecar }: RunnerContext<CommandOptions>) {
  const { argv, env, passEnv, graceMs, exitCodes = {} } = options;
  const { baseDir, log } = sidecar;
  const cwd = resolve(baseDir, options.cwd ?? '.');

  for (const index of openTextArguments(argv)) {
    log.warn(
      `argv[${String(index)}] begins with task text, which a program may take for an option; put "--" before it if the program knows that`,
    );
  }

  const start = (request: WakeRequest): ProgramStart => ({ argv: expandArgv(argv, request), cwd, env, passEnv });
  const check = async () => withIgnored(await checkCommand({ argv, cwd, env, passEnv }), options.ignoreChecks);
  if (options.report !== 'last-json-line') return programRunner(sidecar, { start, graceMs, detaches: options.detaches, check });
  return agentProgram(sidecar, {
    name: 'command',
    title: basename(argv[0] ?? ''),
    settings: { graceMs, ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }) },
    start: ({ request }) => ({ ...start(request), input: `${JSON.stringify(request.task)}\n` }),
    dialect: lastLineDialect(exitCodes),
    speaksFirst: false,
    printsEvents: false,
    check,
  });
}

/** Of options that mean something only where its output is heard. */
function heardOnlyProblems({ report, exitCodes = {}, ...options }: CommandOptions): readonly ConfigProblem[] {
  const isBoth = report === 'last-json-line' && options.detaches === true;
  const noCodes = Object.keys(exitCodes).filter((code) => !/^[1-9][0-9]{0,2}$/.test(code) || Number(code) > EXIT_CODE_MAX);
  const unheard = (['exitCodes', 'idleMs'] as const).filter(
    (name) => report !== 'last-json-line' && { exitCodes: Object.keys(exitCodes).length > 0, idleMs: options.idleMs !== undefined }[name],
  );
  return [
    ...noCodes.map((code) => ({
      path: `exitCodes.${code}`,
      message: `must be a code from 1 to ${String(EXIT_CODE_MAX)}; 0 is no failure`,
    })),
    ...(isBoth ? [{ path: 'detaches', message: 'needs report: "files"; a program that hands over and ends has no last line' }] : []),
    ...unheard.map((path) => ({ path, message: `has a meaning only with report: "last-json-line"; ${INSTEAD[path]}` })),
  ];
}

const INSTEAD = {
  exitCodes: 'files tell the reason themselves',
  idleMs: "how long files may stay as they are is the sidecar's timing.idleMs",
};
