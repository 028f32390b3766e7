/** The agents known to speak the protocol, and their particularities. */
import { CLAUDE_VARIABLES, CODEX_VARIABLES, GEMINI_VARIABLES, type Hints } from '../plugin.ts';

export interface AcpPreset {
  /** Name for people. */
  readonly title: string;
  readonly program: string;
  /** Arguments after the program that make it speak the protocol. */
  readonly args: readonly string[];
  /** Flags that `extraArgs` must not contain. */
  readonly ownFlags: readonly string[];
  /** How its model is selected; otherwise through the session's own option. */
  readonly modelFlag?: string | undefined;
  /** Variables of the sidecar that are passed on: its credentials. */
  readonly variables: readonly string[];
  /** Set for every run. */
  readonly env: Readonly<Record<string, string>>;
  /** The oldest version known to work. */
  readonly minVersion: string;
  /** Whether its reported usage covers the whole prompt, or only the last step, which is of no use. */
  readonly usageOf: 'prompt' | 'last-step';
  readonly install: string;
  readonly hints: Partial<Hints>;
}

const LIMIT_HINT = 'Raise maxTurns or maxCostUsd, or make the task smaller.';
const DENIED_HINT = 'Name the kind of tool in allowTools, or change onPermission.';
const COMMON_HINTS = { limit: LIMIT_HINT, denied: DENIED_HINT };

export const ACP_PRESETS = {
  gemini: {
    title: 'Gemini CLI over ACP',
    program: 'gemini',
    args: ['--acp', '--skip-trust'],
    ownFlags: ['--acp', '--experimental-acp', '--skip-trust', '-m', '--model', '-p', '--prompt'],
    modelFlag: '-m',
    variables: GEMINI_VARIABLES,
    // Otherwise Gemini CLI relaunches itself and does not forward signals.
    env: { GEMINI_CLI_NO_RELAUNCH: 'true' },
    minVersion: '0.61.0',
    usageOf: 'prompt',
    install: 'Install it with "npm install -g @google/gemini-cli", or set the option "bin" to its path.',
    hints: { ...COMMON_HINTS, auth: 'Run "gemini" on that machine and log in, or set GEMINI_API_KEY for the sidecar.' },
  },
  opencode: {
    title: 'opencode over ACP',
    program: 'opencode',
    args: ['acp'],
    ownFlags: ['--cwd'],
    variables: [],
    env: { OPENCODE_DISABLE_AUTOUPDATE: '1' },
    minVersion: '1.18.33',
    usageOf: 'last-step',
    install: 'Install it with "npm install -g opencode-ai" (with its install scripts), or set the option "bin" to its path.',
    hints: { ...COMMON_HINTS, auth: 'Run "opencode auth login" on that machine, or add the variable with its key to passEnv.' },
  },
  claude: {
    title: 'Claude Code over ACP',
    program: 'claude-agent-acp',
    args: [],
    ownFlags: [],
    variables: [...CLAUDE_VARIABLES, 'ANTHROPIC_MODEL'],
    // By default Claude Code tries ten times, even with an invalid key.
    env: { CLAUDE_CODE_MAX_RETRIES: '2', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' },
    minVersion: '0.100.0',
    usageOf: 'prompt',
    install:
      'Install it with "npm install -g @agentclientprotocol/claude-agent-acp" (with its install scripts), or set the option "bin" to its path.',
    hints: { ...COMMON_HINTS, auth: 'Run "claude" on that machine and log in with /login, or set ANTHROPIC_API_KEY for the sidecar.' },
  },
  codex: {
    title: 'Codex over ACP',
    program: 'codex-acp',
    args: [],
    ownFlags: [],
    variables: CODEX_VARIABLES,
    env: {},
    minVersion: '2.6.0',
    usageOf: 'prompt',
    install: 'Install it with "npm install -g @agentclientprotocol/codex-acp", or set the option "bin" to its path.',
    hints: { ...COMMON_HINTS, auth: 'Run "codex login" on that machine, or set CODEX_API_KEY for the sidecar.' },
  },
} as const satisfies Readonly<Record<string, AcpPreset>>;

/** For a program named by the config: nothing is known about it except that it speaks the protocol. */
export const UNKNOWN_AGENT: Omit<AcpPreset, 'program' | 'minVersion'> = {
  title: 'The agent',
  args: [],
  ownFlags: [],
  variables: [],
  env: {},
  usageOf: 'prompt',
  install: 'Set the option "bin" to the path of the agent.',
  hints: { ...COMMON_HINTS, auth: 'Log in to the program on that machine, or add the variable with its key to passEnv.' },
};
