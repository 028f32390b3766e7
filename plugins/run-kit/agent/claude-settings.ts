/**
 * Finds invalid JSON in Claude Code's settings files. Shared by its own runner and the one over ACP, which does not
 * report it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunnerCheck } from '../../../core/ports/wake-runner.ts';

/**
 * Claude Code silently ignores an invalid settings file, including what that file forbids, and does not start with an
 * invalid `.claude.json`. Comments are not allowed. `cwd` is absolute, `env` as the agent gets it; reports the first
 * problem.
 */
export async function checkClaudeSettings(cwd: string, env: Readonly<Record<string, string>>): Promise<readonly RunnerCheck[]> {
  const home = env['HOME'] ?? '';
  const [own = ''] = [env['CLAUDE_CONFIG_DIR'] ?? '', join(home, '.claude')].filter((folder) => folder !== '');
  const config = join(own === env['CLAUDE_CONFIG_DIR'] ? own : home, '.claude.json');
  const settings = [join(own, 'settings.json'), ...['settings.json', 'settings.local.json'].map((name) => join(cwd, '.claude', name))];
  const problems = await Promise.all([
    problemWith(config, 'Claude Code does not start'),
    ...settings.map((file) => problemWith(file, 'Claude Code ignores it, including everything that it forbids')),
  ]);
  return problems
    .filter((message) => message !== null)
    .slice(0, 1)
    .map((message) => ({ check: 'settings', ok: false, message, hint: 'Fix that file.' }));
}

async function problemWith(file: string, outcome: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch(() => ''); // Most of them do not exist.
  try {
    if (text.trim() !== '') JSON.parse(text.replace(/^\uFEFF/, ''));
    return null;
  } catch (error) {
    return `"${file}" is not JSON, so ${outcome}: ${(error as Error).message}.`;
  }
}
