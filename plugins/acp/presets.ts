/** The agents that were seen to speak the protocol, and what is particular to each. */
import { CLAUDE_VARIABLES, CODEX_VARIABLES, GEMINI_VARIABLES, type Cures } from '../plugin.ts';

export interface AcpPreset {
  /** As people call it. */
  readonly title: string;
  readonly program: string;
  /** What makes it speak the protocol; follows the program. */
  readonly args: readonly string[];
  /** Flags that `extraArgs` must not set. */
  readonly ownFlags: readonly string[];
  /** How its model is chosen; else by the session's own option. */
  readonly modelFlag?: string | undefined;
  /** Variables of the sidecar that are passed on: how it is logged in. */
  readonly variables: readonly string[];
  /** Set for every run. */
  readonly env: Readonly<Record<string, string>>;
  /** The least version that is known to work. */
  readonly least: string;
  /** Whether its word for what a prompt used is of the whole prompt, or of its last step only, and so of no use. */
  readonly usageOf: 'prompt' | 'last-step';
  readonly install: string;
  readonly cures: Partial<Cures>;
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
    // It would start itself a second time, and pass no signal on.
    env: { GEMINI_CLI_NO_RELAUNCH: 'true' },
    least: '0.61.0',
    usageOf: 'prompt',
    install: 'Install it with "npm install -g @google/gemini-cli", or correct bin.',
    cures: { ...COMMON_CURES, auth: 'Run "gemini" there and log in, or give the sidecar GEMINI_API_KEY.' },
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
    cures: { ...COMMON_CURES, auth: 'Run "opencode auth login" there, or name the variable of its key in passEnv.' },
  },
  claude: {
    title: 'Claude Code over ACP',
    program: 'claude-agent-acp',
    args: [],
    ownFlags: [],
    variables: [...CLAUDE_VARIABLES, 'ANTHROPIC_MODEL'],
    // Left to itself it tries ten times, also with a wrong key.
    env: { CLAUDE_CODE_MAX_RETRIES: '2', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' },
    least: '0.100.0',
    usageOf: 'prompt',
    install: 'Install it with "npm install -g @agentclientprotocol/claude-agent-acp" (with its install scripts), or correct bin.',
    cures: { ...COMMON_CURES, auth: 'Log in with "claude" and /login there, or give the sidecar ANTHROPIC_API_KEY.' },
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
    cures: { ...COMMON_CURES, auth: 'Run "codex login" there, or give the sidecar CODEX_API_KEY.' },
  },
} as const satisfies Readonly<Record<string, AcpPreset>>;

/** For a program that the config names: nothing is known of it but that it speaks the protocol. */
export const UNKNOWN_AGENT: Omit<AcpPreset, 'program' | 'least'> = {
  title: 'The agent',
  args: [],
  ownFlags: [],
  variables: [],
  env: {},
  usageOf: 'prompt',
  install: 'Correct bin.',
  cures: { ...COMMON_CURES, auth: 'Log in to it there, or name the variable of its key in passEnv.' },
};
