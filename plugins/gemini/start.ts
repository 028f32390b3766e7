/** The options of the Gemini CLI runner, and the command line that they make. */
import {
  GEMINI_VARIABLES,
  argvOf,
  commonAgentOptions,
  maxTurnsOption,
  permissionsOption,
  sessionOption,
  toolsOption,
  Type,
  type AgentStartFacts,
  type OptionsOf,
  type ProgramStart,
} from '../plugin.ts';

/** It has no bound on cost and no list of denied tools, so there are no such options. */
export const geminiOptions = Type.Object({
  ...commonAgentOptions,
  /** With `edit` and `read-only` it is not even told that there is a shell, so a task that needs one cannot be done. */
  permissions: permissionsOption,
  /** Tools that it may use without being asked, such as `run_shell_command(git)`. */
  allowTools: toolsOption,
  /** Tool calls of the agent; over it the run is stopped. */
  maxTurns: maxTurnsOption,
  session: sessionOption,
});

export type GeminiOptions = OptionsOf<typeof geminiOptions>;

const MODES = { 'read-only': 'plan', edit: 'auto_edit', full: 'yolo' } as const;

/** The longest prompt that it takes: it cuts the rest off without an error. */
export const PROMPT_MAX = { unit: 'bytes', count: 8_388_608 } as const;

export const OWN_FLAGS = [
  ...['--skip-trust', '-o', '--output-format', '-m', '--model', '--approval-mode', '-y', '--yolo'],
  ...['--allowed-tools', '--session-id', '-r', '--resume', '-p', '--prompt', '-i', '--prompt-interactive'],
];

/** What is started for a run. */
export function geminiStart(options: GeminiOptions, { session }: Pick<AgentStartFacts, 'session'>): ProgramStart {
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
      // Without a screen, with the prompt from standard input.
      ...['-p', ''],
    ],
    cwd: options.cwd,
    env: geminiVariables(options),
    passEnv: [...GEMINI_VARIABLES, ...(options.passEnv ?? [])],
  };
}

/** Set for every run: it would start itself a second time, and pass no signal on. */
export const geminiVariables = ({ env }: GeminiOptions): Readonly<Record<string, string>> => ({ GEMINI_CLI_NO_RELAUNCH: 'true', ...env });
