/** The options of the Gemini CLI runner, and the command line built from them. */
import {
  GEMINI_VARIABLES,
  argvOf,
  commonAgentOptions,
  maxTurnsOption,
  permissionsOption,
  sessionOption,
  toolsOption,
  Type,
  type AgentStartContext,
  type OptionsOf,
  type ProgramStart,
} from '../plugin.ts';

/** The CLI has no cost limit and no list of denied tools, so there are no such options. */
export const geminiOptions = Type.Object({
  ...commonAgentOptions,
  /** With `edit` and `read-only` Gemini CLI has no shell at all, so tasks that need one fail. */
  permissions: permissionsOption,
  /** Tools allowed without asking, such as `run_shell_command(git)`. */
  allowTools: toolsOption,
  /** Limit on tool calls of the agent; beyond it the run is stopped. */
  maxTurns: maxTurnsOption,
  session: sessionOption,
});

/** Options of `gemini()`. */
export type GeminiOptions = OptionsOf<typeof geminiOptions>;

const MODES = { 'read-only': 'plan', edit: 'auto_edit', full: 'yolo' } as const;

/** The longest prompt that Gemini CLI accepts: it silently truncates longer ones. */
export const PROMPT_MAX = { unit: 'bytes', count: 8_388_608 } as const;

export const OWN_FLAGS = [
  ...['--skip-trust', '-o', '--output-format', '-m', '--model', '--approval-mode', '-y', '--yolo'],
  ...['--allowed-tools', '--session-id', '-r', '--resume', '-p', '--prompt', '-i', '--prompt-interactive'],
];

/** What to start for a run. */
export function geminiStart(options: GeminiOptions, { session }: Pick<AgentStartContext, 'session'>): ProgramStart {
  const { permissions = 'edit', model, allowTools = [] } = options;
  return {
    argv: [
      ...argvOf(options.bin, 'gemini'),
      ...['--skip-trust', '-o', 'stream-json'],
      ...(model === undefined ? [] : ['-m', model]),
      ...(permissions === 'cli-default' ? [] : ['--approval-mode', MODES[permissions]]),
      ...allowTools.flatMap((tool) => ['--allowed-tools', tool]),
      ...(session === null ? [] : ['--resume', session.id]),
      ...(options.extraArgs ?? []),
      // Headless, with the prompt from standard input.
      ...['-p', ''],
    ],
    cwd: options.cwd,
    env: geminiVariables(options),
    passEnv: [...GEMINI_VARIABLES, ...(options.passEnv ?? [])],
  };
}

/** Set for every run: otherwise Gemini CLI relaunches itself and does not forward signals. */
export const geminiVariables = ({ env }: GeminiOptions): Readonly<Record<string, string>> => ({ GEMINI_CLI_NO_RELAUNCH: 'true', ...env });
