/** The options of the Claude Code runner, and the command line and environment built from them. */
import {
  CLAUDE_VARIABLES,
  argvOf,
  commonAgentOptions,
  innerRetriesOption,
  maxCostUsdOption,
  maxTurnsOption,
  permissionsOption,
  sessionOption,
  toolsOption,
  Type,
  type AgentStartContext,
  type OptionsOf,
  type ProgramStart,
} from '../plugin.ts';

export const claudeOptions = Type.Object({
  ...commonAgentOptions,
  permissions: permissionsOption,
  /** Tools allowed without asking, such as `Bash(git *)`. */
  allowTools: toolsOption,
  /** Tools that are not allowed. */
  denyTools: toolsOption,
  maxTurns: maxTurnsOption,
  /** US dollars; checked after each model call, so a run may exceed it by one call. */
  maxCostUsd: maxCostUsdOption,
  session: sessionOption,
  /** How often the program itself retries a model call. Default 2. */
  innerRetries: innerRetriesOption,
  /** How a result counts if a tool was denied. Default `complete`; the result names the tools. */
  whenDenied: Type.Optional(Type.Enum(['complete', 'fail'])),
});

/** Options of `claudeCode()`. */
export type ClaudeCodeOptions = OptionsOf<typeof claudeOptions>;

const INNER_RETRIES = 2;
const MODES = { 'read-only': 'plan', edit: 'acceptEdits', full: 'bypassPermissions' } as const;

/** Flags set by options, or required for parsing the output. */
export const OWN_FLAGS = [
  ...['-p', '--print', '--output-format', '--input-format', '--verbose', '--model', '--permission-mode', '--dangerously-skip-permissions'],
  ...['--allowedTools', '--allowed-tools', '--disallowedTools', '--disallowed-tools', '--max-turns', '--max-budget-usd'],
  ...['--session-id', '--resume', '-r', '--continue', '-c', '--no-session-persistence', '--include-partial-messages'],
];

/** What to start for a run. */
export function claudeStart(options: ClaudeCodeOptions, { session }: Pick<AgentStartContext, 'session'>): ProgramStart {
  const { permissions = 'edit', allowTools = [], denyTools = [] } = options;
  const flag = (name: string, value: string | number | undefined): readonly string[] => (value === undefined ? [] : [name, String(value)]);
  return {
    argv: [
      ...argvOf(options.bin, 'claude'),
      ...['-p', '--output-format', 'stream-json', '--verbose'],
      ...flag('--model', options.model),
      ...flag('--permission-mode', permissions === 'cli-default' ? undefined : MODES[permissions]),
      ...flag('--max-turns', options.maxTurns),
      ...flag('--max-budget-usd', options.maxCostUsd),
      ...flag('--resume', session?.id),
      ...(options.extraArgs ?? []),
      // These consume all following words, so they come last.
      ...(allowTools.length === 0 ? [] : ['--allowedTools', ...allowTools]),
      ...(denyTools.length === 0 ? [] : ['--disallowedTools', ...denyTools]),
    ],
    cwd: options.cwd,
    env: claudeVariables(options),
    passEnv: [...CLAUDE_VARIABLES, ...(options.passEnv ?? [])],
  };
}

/** Set for every run: few retries, since the hub retries too, and no updates during work. */
export const claudeVariables = ({ env, innerRetries = INNER_RETRIES }: ClaudeCodeOptions): Readonly<Record<string, string>> => ({
  CLAUDE_CODE_MAX_RETRIES: String(innerRetries),
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  DISABLE_AUTOUPDATER: '1',
  ...env,
});
