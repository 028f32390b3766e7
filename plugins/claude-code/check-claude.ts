/** What the doctor asks of Claude Code. Calls no model. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  askProgram,
  baseEnvironment,
  checkAgentFolder,
  checkAgentProgram,
  objectOf,
  type AskOptions,
  type RunnerCheck,
  type StopSignal,
} from '../plugin.ts';
import { CLAUDE_VARIABLES, claudeVariables, type ClaudeCodeOptions } from './claude-start.ts';

export interface CheckedClaude {
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  readonly options: ClaudeCodeOptions;
  readonly signal?: StopSignal | undefined;
}

const LEAST = '2.1.328';
const INSTALL = 'Install it with "npm install -g @anthropic-ai/claude-code" (with its install scripts), or correct bin.';

export async function checkClaude({ argv, cwd, options, signal }: CheckedClaude): Promise<readonly RunnerCheck[]> {
  const env = baseEnvironment({ cwd, env: claudeVariables(options), passEnv: [...CLAUDE_VARIABLES, ...(options.passEnv ?? [])] });
  const folder = await checkAgentFolder(cwd, { mayOnlyRead: options.permissions === 'read-only' });
  if (!folder.ok) return [folder];
  const [program, login, settings] = await Promise.all([
    checkAgentProgram({ argv, cwd, env, least: LEAST, install: INSTALL, signal }),
    checkLogin(argv, { cwd, env, signal }),
    checkSettings(cwd, env),
  ]);
  return [folder, program, ...(program.ok ? [login] : []), ...checkRoot(options, env), ...settings];
}

async function checkLogin(argv: readonly string[], options: AskOptions): Promise<RunnerCheck> {
  const check = 'login';
  const asked = await askProgram([...argv, 'auth', 'status'], options);
  if (asked.kind === 'slow') return { check, ok: true, message: `not known: "${argv.join(' ')} auth status" ${asked.message}` };
  if (asked.kind === 'failed') return { check, ok: false, message: `"${argv.join(' ')} auth status" ${asked.message}.` };
  const isLoggedIn = asked.exitCode === 0 && statusIn(asked.stdout);
  return {
    check,
    ok: isLoggedIn,
    message: isLoggedIn
      ? 'logged in'
      : 'Claude Code is not logged in. Run "claude" there and log in with /login, or give the sidecar ANTHROPIC_API_KEY.',
  };
}

function statusIn(text: string): boolean {
  try {
    return objectOf(JSON.parse(text))['loggedIn'] === true;
  } catch {
    return false; // Not the JSON that it prints when all is well.
  }
}

/** A file with a mistake it leaves out without a word, and what is forbidden there is not. It reads no comments. */
async function checkSettings(cwd: string, env: Readonly<Record<string, string>>): Promise<readonly RunnerCheck[]> {
  const own = [env['CLAUDE_CONFIG_DIR'] ?? '', join(env['HOME'] ?? '', '.claude')].find((folder) => folder !== '') ?? '';
  const files = [join(own, 'settings.json'), ...['settings.json', 'settings.local.json'].map((name) => join(cwd, '.claude', name))];
  const mistakes = await Promise.all(files.map(mistakeIn));
  return mistakes
    .filter((message) => message !== null)
    .slice(0, 1)
    .map((message) => ({ check: 'settings', ok: false, message }));
}

async function mistakeIn(file: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch(() => ''); // Most are not there.
  try {
    if (text.trim() !== '') JSON.parse(text.replace(/^\uFEFF/, ''));
    return null;
  } catch (error) {
    return `"${file}" is not JSON, so Claude Code leaves it out, with all that it forbids: ${(error as Error).message}. Correct it.`;
  }
}

/** It refuses to work without asking for permissions when it runs as root, unless it is told that it is in a sandbox. */
function checkRoot({ permissions }: ClaudeCodeOptions, env: Readonly<Record<string, string>>): readonly RunnerCheck[] {
  if (permissions !== 'full' || process.getuid?.() !== 0) return [];
  const isTold = env['IS_SANDBOX'] === '1';
  const message =
    'permissions "full" is refused to root. Run the sidecar as another user, or, in a container of its own, set env IS_SANDBOX to "1".';
  return [{ check: 'permissions', ok: isTold, message: isTold ? 'full, in a sandbox' : message }];
}
