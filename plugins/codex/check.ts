/** The checks for Codex. They call no model; its own `codex doctor` takes 10 s and fails without a network. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CODEX_VARIABLES,
  argvOf,
  askProgram,
  baseEnvironment,
  checkAgentFolder,
  checkAgentProgram,
  lastLines,
  type AskOptions,
  type RunnerCheck,
  type StopSignal,
} from '../plugin.ts';
import { type CodexOptions } from './start.ts';

const LEAST = '0.169.0';
const INSTALL = 'Install it with "npm install -g @openai/codex", or correct bin.';

export async function checkCodex({
  cwd,
  options,
  signal,
}: {
  readonly cwd: string;
  readonly options: CodexOptions;
  readonly signal?: StopSignal | undefined;
}): Promise<readonly RunnerCheck[]> {
  const argv = argvOf(options.bin, 'codex');
  const env = baseEnvironment({ cwd, env: options.env, passEnv: [...CODEX_VARIABLES, ...(options.passEnv ?? [])] });
  const folder = await checkAgentFolder(cwd, { mayOnlyRead: options.permissions === 'read-only' });
  if (!folder.ok) return [folder];
  const [program, login] = await Promise.all([
    checkAgentProgram({ argv, cwd, env, least: LEAST, versionPattern: /codex/i, install: INSTALL, signal }),
    checkLogin(argv, options.extraArgs ?? [], { cwd, env, signal }),
  ]);
  return [folder, program, ...(program.ok ? [login] : [])];
}

/** Printed when it cannot start with its settings. */
const MISTAKE = /Error loading config[^:]*: ([^]*)/;

/**
 * Its own answer ignores an API key in the environment, which works nevertheless; but it shows whether it starts at
 * all.
 */
async function checkLogin(argv: readonly string[], extraArgs: readonly string[], options: AskOptions): Promise<RunnerCheck> {
  const check = 'login';
  const result = await askProgram([...argv, 'login', 'status'], options);
  const mistake = result.kind === 'answered' && result.exitCode !== 0 ? MISTAKE.exec(result.stderr)?.[1] : undefined;
  if (mistake !== undefined) {
    return { check: 'settings', ok: false, message: `Codex does not start with its settings: ${lastLines(mistake)}. Correct them.` };
  }
  const key = ['CODEX_API_KEY', 'OPENAI_API_KEY'].find((name) => (options.env[name] ?? '') !== '');
  if (key !== undefined) return { check, ok: true, message: `${key} is set` };
  const provider = await checkProvider(extraArgs, options.env);
  if (provider !== null) return provider;
  if (result.kind === 'slow') return { check, ok: true, message: `not known: "${argv.join(' ')} login status" ${result.message}` };
  const isLoggedIn = result.kind === 'answered' && result.exitCode === 0;
  return {
    check,
    ok: isLoggedIn,
    message: isLoggedIn ? 'logged in' : 'Codex is not logged in. Run "codex login" there, or give the sidecar CODEX_API_KEY.',
  };
}

/** A custom model provider has its own key, or none; null if Codex itself logs in. */
async function checkProvider(extraArgs: readonly string[], env: AskOptions['env']): Promise<RunnerCheck | null> {
  const check = 'login';
  // Profiles choose from sections that only Codex itself merges.
  if (extraArgs.some((argument) => /^(?:--oss|--profile|-p)(?:=|$)/.test(argument)))
    return { check, ok: true, message: 'not known: extraArgs choose where its model is' };
  const config = await readFile(join(env['CODEX_HOME'] ?? join(env['HOME'] ?? '', '.codex'), 'config.toml'), 'utf8').catch(() => '');
  const [top = ''] = config.split(/^\s*\[/m);
  const given = extraArgs
    .map((argument) => /^(?:-c|--config=)?model_provider=(.+)$/.exec(argument)?.[1])
    .findLast((name) => name !== undefined);
  const provider = unquoted(given ?? fieldIn(top, 'model_provider') ?? 'openai');
  if (provider === 'openai') return null;
  const section = config.split(/^\s*(?=\[)/m).find((part) => unquoted(sectionIn(part)) === provider) ?? '';
  if (fieldIn(section, 'requires_openai_auth') === 'true') return null;
  const key = unquoted(fieldIn(section, 'env_key') ?? '');
  if (key !== '' && (env[key] ?? '') === '') {
    return {
      check,
      ok: false,
      message: `Its model provider "${provider}" wants ${key}, which the agent does not get. Name it in passEnv.`,
    };
  }
  return { check, ok: true, message: `by its model provider "${provider}"` };
}

/** The subset of TOML that is needed: a field on a line of its own. */
const fieldIn = (toml: string, name: string): string | undefined =>
  new RegExp(`^\\s*${name}\\s*=\\s*("[^"]*"|'[^']*'|[^\\s#]+)`, 'm').exec(toml)?.[1];
const sectionIn = (part: string): string => /^\[model_providers\.([^\]]+)\]/.exec(part)?.[1]?.trim() ?? '';
const unquoted = (value: string): string => value.replace(/^(["'])(.*)\1$/, '$2');
