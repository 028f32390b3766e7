/** The checks for Claude Code. They call no model. */
import {
  CLAUDE_VARIABLES,
  askProgram,
  baseEnvironment,
  checkAgentFolder,
  checkAgentProgram,
  checkClaudeSettings,
  lastLines,
  objectOf,
  type AskOptions,
  type RunnerCheck,
  type StopSignal,
} from '../plugin.ts';
import { claudeVariables, type ClaudeCodeOptions } from './start.ts';

export interface CheckedClaude {
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  readonly options: ClaudeCodeOptions;
  readonly signal?: StopSignal | undefined;
}

const MIN_VERSION = '2.1.328';
const INSTALL =
  'Install it with "npm install -g @anthropic-ai/claude-code" (with its install scripts), or set the option "bin" to its path.';

export async function checkClaude({ argv, cwd, options, signal }: CheckedClaude): Promise<readonly RunnerCheck[]> {
  const env = baseEnvironment({ cwd, env: claudeVariables(options), passEnv: [...CLAUDE_VARIABLES, ...(options.passEnv ?? [])] });
  const folder = await checkAgentFolder(cwd, { readOnly: options.permissions === 'read-only' });
  if (!folder.ok) return [folder];
  const [program, login, settings] = await Promise.all([
    checkAgentProgram({ argv, cwd, env, minVersion: MIN_VERSION, versionPattern: /claude/i, install: INSTALL, signal }),
    checkLogin(argv, { cwd, env, signal }),
    checkClaudeSettings(cwd, env),
  ]);
  return [folder, program, ...(program.ok ? [login] : []), ...checkRoot(options, env), ...settings];
}

async function checkLogin(argv: readonly string[], options: AskOptions): Promise<RunnerCheck> {
  const check = 'login';
  const result = await askProgram([...argv, 'auth', 'status'], options);
  if (result.kind === 'slow') return { check, ok: true, message: `login unknown: "${argv.join(' ')} auth status" ${result.message}` };
  if (result.kind === 'failed') return { check, ok: false, message: `"${argv.join(' ')} auth status" ${result.message}.`, hint: HINT };
  if (result.exitCode === 0 && isLoggedIn(result.stdout)) return { check, ok: true, message: 'logged in' };
  // Standard error is empty if only the login is missing.
  const output = lastLines(result.stderr);
  if (output === '') return { check, ok: false, message: 'Claude Code is not logged in.', hint: HINT };
  const message = `"${argv.join(' ')} auth status" exited with code ${String(result.exitCode)}: ${output}.`;
  return { check, ok: false, message, hint: `Fix that. If it is not logged in: ${HINT}` };
}

const HINT = 'Run "claude" on the sidecar\'s machine, as its user, and log in with /login, or set ANTHROPIC_API_KEY for the sidecar.';

function isLoggedIn(text: string): boolean {
  try {
    return objectOf(JSON.parse(text))['loggedIn'] === true;
  } catch {
    return false; // Not the JSON that it prints on success.
  }
}

/** As root, Claude Code refuses to run without permission prompts, unless IS_SANDBOX says that it is in a sandbox. */
function checkRoot({ permissions }: ClaudeCodeOptions, env: Readonly<Record<string, string>>): readonly RunnerCheck[] {
  if (permissions !== 'full' || process.getuid?.() !== 0) return [];
  const isSandbox = env['IS_SANDBOX'] === '1';
  if (isSandbox) return [{ check: 'permissions', ok: true, message: 'full, in a sandbox' }];
  const hint = 'Run the sidecar as another user or, in a container of its own, set env IS_SANDBOX to "1".';
  return [{ check: 'permissions', ok: false, message: 'Claude Code refuses permissions "full" as root.', hint }];
}
