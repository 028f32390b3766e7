/** The options of the opencode runner, and the command line and config built from them. */
import { resolve } from 'node:path';
import {
  argvOf,
  commonAgentOptions,
  maxCostUsdOption,
  maxTurnsOption,
  objectOf,
  permissionsOption,
  sessionOption,
  toolsOption,
  Type,
  type AgentStartContext,
  type ConfigProblem,
  type OptionsOf,
  type ProgramStart,
} from '../plugin.ts';

// opencode prints nothing before its model has answered.
const { startWithinMs: _startWithinMs, ...common } = commonAgentOptions;

export const opencodeOptions = Type.Object({
  ...common,
  /** `provider/model`. Without it, opencode may choose a hosted service by itself. */
  model: Type.String({ pattern: '^[^/]+/.+$' }),
  /** Content of an `opencode.json`, passed to each run; permissions and tools of these options are added. */
  config: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  /** `edit` includes a shell; only folders outside `cwd` are denied. */
  permissions: permissionsOption,
  /** Kinds of tools to allow, as in the permissions of opencode, such as `bash` or `webfetch`. */
  allowTools: toolsOption,
  denyTools: toolsOption,
  /** Limit on model calls; beyond it the run is stopped. */
  maxTurns: maxTurnsOption,
  /** US dollars, if the model's prices are known; checked after each call. */
  maxCostUsd: maxCostUsdOption,
  session: sessionOption,
});

/** Options of `opencode()`. */
export type OpencodeOptions = OptionsOf<typeof opencodeOptions>;

const PERMISSIONS = {
  'read-only': { edit: 'deny', bash: 'deny', external_directory: 'deny' },
  edit: { edit: 'allow', bash: 'allow', external_directory: 'deny' },
  full: { edit: 'allow', bash: 'allow', external_directory: 'allow' },
  'cli-default': {},
} as const;

export const OWN_FLAGS = ['--format', '-m', '--model', '--dir', '-s', '--session', '-c', '--continue', '--auto', '--attach'];

export const opencodeProblems = ({ env = {} }: OpencodeOptions): readonly ConfigProblem[] =>
  'OPENCODE_CONFIG_CONTENT' in env
    ? [{ path: 'env.OPENCODE_CONFIG_CONTENT', message: 'is set by the runner; write it as the option config' }]
    : [];

/** What to start for a run. opencode trusts `PWD` more than its working directory, so the folder is also passed as a flag. */
export function opencodeStart(
  options: OpencodeOptions,
  { session, baseDir }: Pick<AgentStartContext, 'session'> & { readonly baseDir: string },
): ProgramStart {
  const cwd = resolve(baseDir, options.cwd ?? '.');
  return {
    argv: [
      ...argvOf(options.bin, 'opencode'),
      ...['run', '--format', 'json', '-m', options.model, '--dir', cwd],
      ...(session === null ? [] : ['--session', session.id]),
      ...(options.permissions === 'full' ? ['--auto'] : []),
      ...(options.extraArgs ?? []),
    ],
    cwd,
    env: opencodeVariables(options),
    passEnv: options.passEnv,
  };
}

/** Set for every run: the config of opencode, and no updates during work. */
export function opencodeVariables(options: OpencodeOptions): Readonly<Record<string, string>> {
  const { config = {}, permissions = 'edit', allowTools = [], denyTools = [] } = options;
  const tools = (names: readonly string[], answer: string) => Object.fromEntries(names.map((name) => [name, answer]));
  const permission = {
    ...PERMISSIONS[permissions],
    ...objectOf(config['permission']),
    ...tools(allowTools, 'allow'),
    ...tools(denyTools, 'deny'),
  };
  return {
    OPENCODE_DISABLE_AUTOUPDATE: '1',
    OPENCODE_CONFIG_CONTENT: JSON.stringify({ autoupdate: false, share: 'disabled', ...config, permission }),
    ...options.env,
  };
}
