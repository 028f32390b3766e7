/** The checks for the Gemini CLI, without calling a model. None of its commands reports whether it is logged in. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  GEMINI_VARIABLES,
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
import { geminiVariables, type GeminiOptions } from './start.ts';

const MIN_VERSION = '0.61.0';
const INSTALL = 'Install it with "npm install -g @google/gemini-cli", or set the option "bin" to its path.';
type Variables = Readonly<Record<string, string | undefined>>;

const USE_VERTEX = 'GOOGLE_GENAI_USE_VERTEXAI';
const VERTEX_VARIABLES = ['GOOGLE_CLOUD_PROJECT', 'GOOGLE_CLOUD_LOCATION'] as const;
/**
 * Set to "true", these select the login method; the first one counts. Except for Vertex AI, only a run shows whether
 * the login works.
 */
const LOGIN_METHODS: readonly string[] = ['GOOGLE_GENAI_USE_GCA', USE_VERTEX, 'CLOUD_SHELL', 'GEMINI_CLI_USE_COMPUTE_ADC'];
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
  const folder = await checkAgentFolder(cwd, { readOnly: options.permissions === 'read-only' });
  if (!folder.ok) return [folder];
  const [program, settings] = await Promise.all([
    checkAgentProgram({ argv, cwd, env, minVersion: MIN_VERSION, versionPattern: ONLY_VERSION, install: INSTALL, signal }),
    settingsOf(cwd, env['HOME'] ?? ''),
  ]);
  if ('broken' in settings) {
    const message = `"${settings.broken}" is not JSON, so the program does not start.`;
    return [folder, program, { check: 'settings', ok: false, message, hint: 'Fix the file.' }];
  }
  return [folder, program, await checkLogin(cwd, env, settings.selectedType)];
}

/** An API key in the environment, or a login method selected in its settings or by a variable. */
async function checkLogin(cwd: string, env: Variables, selected: string | null): Promise<RunnerCheck> {
  const file = await variablesOfFile(cwd, env['HOME'] ?? '');
  const valueOf = (name: string): string => env[name] || file.set[name] || '';
  const isSet = (name: string): boolean => valueOf(name) !== '';
  const method = selected ?? LOGIN_METHODS.find((name) => valueOf(name) === 'true');
  if (method === 'vertex-ai' || method === USE_VERTEX) return checkVertex(isSet);
  const key = KEYS.find(isSet);
  const found = method ?? key;
  const check = 'login';
  if (found === undefined) {
    const hint = 'Run "gemini" on the sidecar\'s machine, as its user, and log in, or set GEMINI_API_KEY for the sidecar.';
    return { check, ok: false, message: 'Gemini CLI is not logged in.', hint };
  }
  if (found === 'gemini-api-key' && key === undefined)
    return {
      check,
      ok: false,
      message: 'The settings of Gemini CLI select an API key, but none is set.',
      hint: 'Set GEMINI_API_KEY for the sidecar.',
    };
  const place = env[found] ? found : `${found} of "${file.path}"`;
  return { check, ok: true, message: found === selected ? `login method: ${selected}` : `${place} is set` };
}

/** Without these, Gemini CLI does not start; whether Google accepts them shows at the first prompt. */
function checkVertex(isSet: (name: string) => boolean): RunnerCheck {
  const ok = isSet('GOOGLE_API_KEY') || VERTEX_VARIABLES.every(isSet);
  if (ok) return { check: 'login', ok, message: 'login method: Vertex AI' };
  const message = `Vertex AI needs ${VERTEX_VARIABLES.join(' and ')}, or GOOGLE_API_KEY.`;
  return { check: 'login', ok, message, hint: 'Set them for the sidecar.' };
}

/** Settings may contain comments; a comment marker inside a string is not a comment. */
const STRING_OR_COMMENT = /"(?:\\.|[^"\\])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const VARIABLE_LINE = /^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=[ \t]*(?:"([^"\n]*)"|'([^'\n]*)'|([^\s#]*))/gm;

/** Gemini CLI reads the first of these files that exists: in its folder, in a parent folder, in the user's home. */
async function variablesOfFile(cwd: string, home: string): Promise<{ readonly path: string; readonly set: Variables }> {
  const folders = [cwd];
  for (let folder = cwd; dirname(folder) !== folder; folder = dirname(folder)) folders.push(dirname(folder));
  for (const folder of [...folders, home]) {
    for (const path of [join(folder, '.gemini', '.env'), join(folder, '.env')]) {
      const text = await readFile(path, 'utf8').catch(() => null); // Missing or unreadable.
      if (text === null) continue;
      const lines = [...text.matchAll(VARIABLE_LINE)];
      return { path, set: Object.fromEntries(lines.map(([, name = '', twice, once, bare]) => [name, twice ?? once ?? bare ?? ''])) };
    }
  }
  return { path: '', set: {} };
}

/** Settings of the folder override those of the user; `broken` names a file that is not JSON. */
async function settingsOf(cwd: string, home: string): Promise<{ readonly broken: string } | { readonly selectedType: string | null }> {
  const types: (string | null)[] = [];
  for (const path of [cwd, home].map((folder) => join(folder, '.gemini', 'settings.json'))) {
    const text = await readFile(path, 'utf8').catch(() => '{}'); // Missing or unreadable: then there are no settings either.
    try {
      const settings: unknown = JSON.parse(text.replace(STRING_OR_COMMENT, (found) => (found.startsWith('"') ? found : ' ')));
      types.push(textOf(objectOf(objectOf(objectOf(settings)['security'])['auth'])['selectedType']));
    } catch {
      return { broken: path };
    }
  }
  return { selectedType: types.find((type) => type !== null) ?? null };
}
