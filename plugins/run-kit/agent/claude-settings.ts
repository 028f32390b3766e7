/** Settings files of Claude Code that are no JSON: it is the same program by its own runner and over ACP, which does not tell of them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunnerCheck } from '../../../core/ports/wake-runner.ts';

/**
 * A settings file with a mistake it leaves out without a word, and what is forbidden there is not. With a mistake in `.claude.json` it
 * does not start. It reads no comments. `cwd` is absolute, `env` as the agent gets it; the first mistake is told.
 */
export async function checkClaudeSettings(cwd: string, env: Readonly<Record<string, string>>): Promise<readonly RunnerCheck[]> {
  const home = env['HOME'] ?? '';
  const [own = ''] = [env['CLAUDE_CONFIG_DIR'] ?? '', join(home, '.claude')].filter((folder) => folder !== '');
  const started = join(own === env['CLAUDE_CONFIG_DIR'] ? own : home, '.claude.json');
  const settings = [join(own, 'settings.json'), ...['settings.json', 'settings.local.json'].map((name) => join(cwd, '.claude', name))];
  const mistakes = await Promise.all([
    mistakeIn(started, 'Claude Code does not start'),
    ...settings.map((file) => mistakeIn(file, 'Claude Code leaves it out, with all that it forbids')),
  ]);
  return mistakes
    .filter((message) => message !== null)
    .slice(0, 1)
    .map((message) => ({ check: 'settings', ok: false, message }));
}

async function mistakeIn(file: string, outcome: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch(() => ''); // Most are not there.
  try {
    if (text.trim() !== '') JSON.parse(text.replace(/^\uFEFF/, ''));
    return null;
  } catch (error) {
    return `"${file}" is not JSON, so ${outcome}: ${(error as Error).message}. Correct it.`;
  }
}
