/** The options of the opencode runner, and the command line and config that they make. */
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
  type AgentStartFacts,
  type ConfigProblem,
  type OptionsOf,
  type ProgramStart,
} from '../plugin.ts';

// It says nothing before its model has answered.
const { startWithinMs: _saysNothingFirst, ...common } = commonAgentOptions;

export const opencodeOptions = Type.Object({
  ...common,
  /** `provider/model`. Without one it may choose a hosted service by itself. */
  model: Type.String({ pattern: '^[^/]+/.+$' }),
  /** What its `opencode.json` would hold, given to each run; permissions and tools of these options are added. */
  config: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  /** `edit` has a shell too; only folders outside of `cwd` are closed. */
  permissions: permissionsOption,
  /** Kinds of tools that it may use, as its permissions name them, such as `bash` or `webfetch`. */
  allowTools: toolsOption,
  denyTools: toolsOption,
  /** Calls of the model; over it the run is stopped. */
  maxTurns: maxTurnsOption,
  /** US dollars, where its model has prices; looked at after each call. */
  maxCostUsd: maxCostUsdOption,
  session: sessionOption,
});

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

/** What is started for a run. It believes `PWD` more than its folder, so the folder is also said by a flag. */
export function opencodeStart(
  options: OpencodeOptions,
  { session, baseDir }: Pick<AgentStartFacts, 'session'> & { readonly baseDir: string },
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

/** Set for every run: its config, and no updates in the middle of work. */
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
