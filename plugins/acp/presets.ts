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
  readonly least: string;
  /** Whether its reported usage covers the whole prompt, or only the last step, which is of no use. */
  readonly usageOf: 'prompt' | 'last-step';
  readonly install: string;
  readonly hints: Partial<Hints>;
}

const LIMIT_CURE = 'Raise maxTurns or maxCostUsd, or make the task smaller.';
const DENIED_CURE = 'Name the kind of tool in allowTools, or change onPermission.';
const COMMON_CURES = { limit: LIMIT_CURE, denied: DENIED_CURE };

export const ACP_PRESETS = {
  gemini: {
    title: 'Gemini CLI over ACP',
    program: 'gemini',
    args: ['--acp', '--skip-trust'],
    ownFlags: ['--acp', '--experimental-acp', '--skip-trust', '-m', '--model', '-p', '--prompt'],
    modelFlag: '-m',
    variables: GEMINI_VARIABLES,
    // Otherwise it relaunches itself and does not forward signals.
    env: { GEMINI_CLI_NO_RELAUNCH: 'true' },
    least: '0.61.0',
    usageOf: 'prompt',
    install: 'Install it with "npm install -g @google/gemini-cli", or correct bin.',
    hints: { ...COMMON_CURES, auth: 'Run "gemini" there and log in, or sendPrompt the sidecar GEMINI_API_KEY.' },
  },
  opencode: {
    title: 'opencode over ACP',
    program: 'opencode',
    args: ['acp'],
    ownFlags: ['--cwd'],
    variables: [],
    env: { OPENCODE_DISABLE_AUTOUPDATE: '1' },
    least: '1.18.33',
    usageOf: 'last-step',
    install: 'Install it with "npm install -g opencode-ai" (with its install scripts), or correct bin.',
    hints: { ...COMMON_CURES, auth: 'Run "opencode auth login" there, or name the variable of its key in passEnv.' },
  },
  claude: {
    title: 'Claude Code over ACP',
    program: 'claude-agent-acp',
    args: [],
    ownFlags: [],
    variables: [...CLAUDE_VARIABLES, 'ANTHROPIC_MODEL'],
    // By default it tries ten times, even with an invalid key.
    env: { CLAUDE_CODE_MAX_RETRIES: '2', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' },
    least: '0.100.0',
    usageOf: 'prompt',
    install: 'Install it with "npm install -g @agentclientprotocol/claude-agent-acp" (with its install scripts), or correct bin.',
    hints: { ...COMMON_CURES, auth: 'Log in with "claude" and /login there, or sendPrompt the sidecar ANTHROPIC_API_KEY.' },
  },
  codex: {
    title: 'Codex over ACP',
    program: 'codex-acp',
    args: [],
    ownFlags: [],
    variables: CODEX_VARIABLES,
    env: {},
    least: '2.6.0',
    usageOf: 'prompt',
    install: 'Install it with "npm install -g @agentclientprotocol/codex-acp", or correct bin.',
    hints: { ...COMMON_CURES, auth: 'Run "codex login" there, or sendPrompt the sidecar CODEX_API_KEY.' },
  },
} as const satisfies Readonly<Record<string, AcpPreset>>;

/** For a program named by the config: nothing is known of it except that it speaks the protocol. */
export const UNKNOWN_AGENT: Omit<AcpPreset, 'program' | 'least'> = {
  title: 'The agent',
  args: [],
  ownFlags: [],
  variables: [],
  env: {},
  usageOf: 'prompt',
  install: 'Correct bin.',
  hints: { ...COMMON_CURES, auth: 'Log in to it there, or name the variable of its key in passEnv.' },
};
