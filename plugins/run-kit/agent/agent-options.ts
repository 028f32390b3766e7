/** Options shared by all agent programs. Each runner takes those that its program supports, and no others. */
import { Type } from 'typebox';
import type { ConfigProblem } from '../../../core/config/config.ts';
import { TASK_VARIABLES } from '../process/run-environment.ts';
import { promptProblems } from './agent-prompt.ts';

const MS_MAX = 7 * 24 * 3_600_000;
const LINE_BYTES_MAX = 64 * 1024 * 1024;
const milliseconds = Type.Integer({ minimum: 1, maximum: MS_MAX });
const names = Type.Array(Type.String({ minLength: 1 }));

/** Supported by every program. */
export const commonAgentOptions = {
  /** The program, with arguments that belong to it: `claude`, or `['node', '/opt/claude/cli.js']`. */
  bin: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })])),
  /** Working directory; relative to the config file, whose folder is the default. */
  cwd: Type.Optional(Type.String({ minLength: 1 })),
  /** Variables to set. */
  env: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** Names of the sidecar's variables to pass on, in addition to the program's credentials. */
  passEnv: Type.Optional(names),
  /** The model, by the program's own name for it. */
  model: Type.Optional(Type.String({ minLength: 1 })),
  /** Replaces the prompt; placeholders such as `${TASK_DESCRIPTION}` stand for the task. */
  prompt: Type.Optional(Type.String({ minLength: 1 })),
  /** Further arguments, passed as they are. */
  extraArgs: Type.Optional(names),
  /** Milliseconds from the start to the first output. Default 30,000. */
  startWithinMs: Type.Optional(milliseconds),
  /** Milliseconds between two lines. Default 600,000. */
  idleMs: Type.Optional(milliseconds),
  /** Milliseconds between SIGTERM and SIGKILL. Default 5,000. */
  graceMs: Type.Optional(Type.Integer({ minimum: 0, maximum: MS_MAX })),
  /**
   * Names of program checks whose failure does not keep the agent from getting tasks, for checks that fail although the
   * program works.
   */
  ignoreChecks: Type.Optional(Type.Array(Type.Enum(['cwd', 'program', 'login', 'permissions', 'settings']))),
  /** Longer lines are dropped. Default 4 MiB. */
  maxLineBytes: Type.Optional(Type.Integer({ minimum: 1_024, maximum: LINE_BYTES_MAX })),
};

/** Whether another attempt resumes the session of the earlier one. Default `fresh`. */
export const sessionOption = Type.Optional(Type.Enum(['fresh', 'resume']));

/**
 * What the agent may do: only read; change files in its folder; anything; or what the program's own settings say.
 * Default `edit`.
 */
export const permissionsOption = Type.Optional(Type.Enum(['read-only', 'edit', 'full', 'cli-default']));

/** Schema of an option: names of tools. */
export const toolsOption = Type.Optional(names);
/** Schema of an option: how many turns an attempt may take, 1 or more. */
export const maxTurnsOption = Type.Optional(Type.Integer({ minimum: 1 }));
/** Schema of an option: what an attempt may cost, US dollars, above 0. */
export const maxCostUsdOption = Type.Optional(Type.Number({ exclusiveMinimum: 0 }));
/** Schema of an option: how often the program itself retries, 0 to 100. */
export const innerRetriesOption = Type.Optional(Type.Integer({ minimum: 0, maximum: 100 }));

/** The options that all agent programs have, as far as `agentOptionProblems` checks them. */
export interface CheckedAgentOptions {
  readonly bin?: string | readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly passEnv?: readonly string[] | undefined;
  readonly prompt?: string | undefined;
  readonly extraArgs?: readonly string[] | undefined;
}

/** Problems that the schema cannot express. `ownFlags`: set by the runner, so `extraArgs` must not contain them. */
export function agentOptionProblems(options: CheckedAgentOptions, ownFlags: readonly string[]): readonly ConfigProblem[] {
  const { env = {}, passEnv = [], extraArgs = [] } = options;
  const named = [
    ...Object.keys(env).map((name) => ({ path: `env.${name}`, name })),
    ...passEnv.map((name, index) => ({ path: `passEnv[${String(index)}]`, name })),
  ];
  const nul = JSON.stringify([options.bin, env, extraArgs]).includes('\\u0000');
  return [
    ...named.flatMap(({ path, name }) => variableProblems(path, name)),
    ...extraArgs.flatMap((argument, index) => {
      const flag = argument.split('=')[0] ?? '';
      const isOwn = ownFlags.includes(flag);
      return isOwn ? [{ path: `extraArgs[${String(index)}]`, message: `must not set ${flag}: an option of the runner does` }] : [];
    }),
    ...(nul ? [{ path: '', message: 'must not have a NUL character (U+0000) in bin, env or extraArgs' }] : []),
    ...promptProblems(options.prompt),
  ];
}

/** Problems with the name of a variable. */
export function variableProblems(path: string, name: string): readonly ConfigProblem[] {
  if (!/^[^=\0]+$/.test(name)) return [{ path, message: 'must be named without "=" and NUL, and not be empty' }];
  if ((TASK_VARIABLES as readonly string[]).includes(name))
    return [{ path, message: 'is set by the sidecar for each run; choose another name' }];
  return [];
}

/** The program and its first arguments. */
export const argvOf = (bin: string | readonly string[] | undefined, program: string): readonly string[] =>
  bin === undefined ? [program] : typeof bin === 'string' ? [bin] : bin;
