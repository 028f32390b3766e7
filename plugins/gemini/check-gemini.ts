/** What the doctor asks of the Gemini CLI. Calls no model. No command of it says whether it is logged in. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  argvOf,
  baseEnvironment,
  checkAgentFolder,
  checkAgentProgram,
  objectOf,
  ONLY_VERSION,
  textOf,
  type RunnerCheck,
  type StopSignal,
} from '../plugin.ts';
import { GEMINI_VARIABLES, geminiVariables, type GeminiOptions } from './gemini-start.ts';

const LEAST = '0.61.0';
const INSTALL = 'Install it with "npm install -g @google/gemini-cli", or correct bin.';
const KEYS = ['GEMINI_API_KEY', 'GOOGLE_API_KEY', 'GOOGLE_APPLICATION_CREDENTIALS'] as const;

export async function checkGemini({
  cwd,
  options,
  signal,
}: {
  readonly cwd: string;
  readonly options: GeminiOptions;
  readonly signal?: StopSignal | undefined;
}): Promise<readonly RunnerCheck[]> {
  const argv = argvOf(options.bin, 'gemini');
  const env = baseEnvironment({ cwd, env: geminiVariables(options), passEnv: [...GEMINI_VARIABLES, ...(options.passEnv ?? [])] });
  const folder = await checkAgentFolder(cwd, { mayOnlyRead: options.permissions === 'read-only' });
  if (!folder.ok) return [folder];
  const [program, settings] = await Promise.all([
    checkAgentProgram({ argv, cwd, env, least: LEAST, says: ONLY_VERSION, install: INSTALL, signal }),
    settingsOf(cwd, env['HOME'] ?? ''),
  ]);
  if ('broken' in settings) {
    const message = `"${settings.broken}" is not JSON, and the program does not start with it. Correct it.`;
    return [folder, program, { check: 'settings', ok: false, message }];
  }
  return [folder, program, await checkLogin(cwd, env, settings.selectedType)];
}

/** A key of the environment, or a way to log in that somebody has chosen in its settings. */
async function checkLogin(cwd: string, env: Readonly<Record<string, string>>, selected: string | null): Promise<RunnerCheck> {
  const check = 'login';
  const key = KEYS.find((name) => (env[name] ?? '') !== '') ?? (await keyOfFile(cwd, env['HOME'] ?? ''));
  if (selected !== null) {
    const lacksKey = selected === 'gemini-api-key' && key === undefined;
    const message = lacksKey ? 'Its settings want an API key, and there is none. Give the sidecar GEMINI_API_KEY.' : `by ${selected}`;
    return { check, ok: !lacksKey, message };
  }
  const message =
    key === undefined ? 'Gemini CLI is not logged in. Run "gemini" there and log in, or give the sidecar GEMINI_API_KEY.' : `${key} is set`;
  return { check, ok: key !== undefined, message };
}

/** Comments are allowed in its settings; what looks like one in a text is none. */
const STRING_OR_COMMENT = /"(?:\\.|[^"\\])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const KEY_LINE = new RegExp(`^\\s*(?:export\\s+)?(${KEYS.join('|')})\\s*=\\s*[^\\s#]`, 'm');

/** It reads the first of these files that there is: of its folder, of those above it, and of its user. */
async function keyOfFile(cwd: string, home: string): Promise<string | undefined> {
  const folders = [cwd];
  for (let folder = cwd; dirname(folder) !== folder; folder = dirname(folder)) folders.push(dirname(folder));
  for (const folder of [...folders, home]) {
    for (const path of [join(folder, '.gemini', '.env'), join(folder, '.env')]) {
      const text = await readFile(path, 'utf8').catch(() => null); // None, or none that may be read.
      const [, name] = KEY_LINE.exec(text ?? '') ?? [];
      if (text !== null) return name === undefined ? undefined : `${name} of "${path}"`;
    }
  }
  return undefined;
}

/** Of its folder, which come before those of its user; `broken` names a file that is not JSON. */
async function settingsOf(cwd: string, home: string): Promise<{ readonly broken: string } | { readonly selectedType: string | null }> {
  const types: (string | null)[] = [];
  for (const path of [cwd, home].map((folder) => join(folder, '.gemini', 'settings.json'))) {
    const text = await readFile(path, 'utf8').catch(() => '{}'); // None, or none that may be read: then it has none either.
    try {
      const settings: unknown = JSON.parse(text.replace(STRING_OR_COMMENT, (found) => (found.startsWith('"') ? found : ' ')));
      types.push(textOf(objectOf(objectOf(objectOf(settings)['security'])['auth'])['selectedType']));
    } catch {
      return { broken: path };
    }
  }
  return { selectedType: types.find((type) => type !== null) ?? null };
}
