/** The checks for Codex, without calling a model. They do not use `codex doctor`, which takes 10 s and fails offline. */
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

const MIN_VERSION = '0.169.0';
const INSTALL = 'Install it with "npm install -g @openai/codex", or set the option "bin" to its path.';

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
  const folder = await checkAgentFolder(cwd, { readOnly: options.permissions === 'read-only' });
  if (!folder.ok) return [folder];
  const [program, login] = await Promise.all([
    checkAgentProgram({ argv, cwd, env, minVersion: MIN_VERSION, versionPattern: /codex/i, install: INSTALL, signal }),
    checkLogin(argv, options.extraArgs ?? [], { cwd, env, signal }),
  ]);
  return [folder, program, ...(program.ok ? [login] : [])];
}

/** What Codex prints if its config is invalid. */
const CONFIG_ERROR = /Error loading config[^:]*: ([^]*)/;

/**
 * `codex login status` ignores an API key in the environment, although Codex uses it. It is still run first, because it
 * shows whether Codex starts at all. An unknown login passes: a failed check would keep the agent from getting tasks.
 */
async function checkLogin(argv: readonly string[], extraArgs: readonly string[], options: AskOptions): Promise<RunnerCheck> {
  const check = 'login';
  const result = await askProgram([...argv, 'login', 'status'], options);
  const configError = result.kind === 'answered' && result.exitCode !== 0 ? CONFIG_ERROR.exec(result.stderr)?.[1] : undefined;
  if (configError !== undefined) {
    return { check: 'settings', ok: false, message: `Codex cannot load its config: ${lastLines(configError)}.`, hint: 'Fix that file.' };
  }
  const keyVariable = ['CODEX_API_KEY', 'OPENAI_API_KEY'].find((name) => (options.env[name] ?? '') !== '');
  if (keyVariable !== undefined) return { check, ok: true, message: `${keyVariable} is set` };
  const provider = await checkProvider(extraArgs, options.env);
  if (provider !== null) return provider;
  if (result.kind === 'slow') return { check, ok: true, message: `login unknown: "${argv.join(' ')} login status" ${result.message}` };
  const isLoggedIn = result.kind === 'answered' && result.exitCode === 0;
  return isLoggedIn ? { check, ok: true, message: 'logged in' } : { check, ok: false, message: 'Codex is not logged in.', hint: LOG_IN };
}

const LOG_IN = 'Run "codex login" on the sidecar\'s machine, as its user, or set CODEX_API_KEY for the sidecar.';

/** Checks the key of a custom model provider. Null if the login of Codex applies. */
async function checkProvider(extraArgs: readonly string[], env: AskOptions['env']): Promise<RunnerCheck | null> {
  const check = 'login';
  // With --oss or a profile, the provider depends on settings that only Codex can resolve.
  if (extraArgs.some((argument) => /^(?:--oss|--profile|-p)(?:=|$)/.test(argument)))
    return { check, ok: true, message: 'login unknown: extraArgs select the model provider' };
  const config = await readFile(join(env['CODEX_HOME'] ?? join(env['HOME'] ?? '', '.codex'), 'config.toml'), 'utf8').catch(() => '');
  const [topLevel = ''] = config.split(/^\s*\[/m);
  // `-c model_provider=x`, `-cmodel_provider=x` or `--config=model_provider=x`; the last one wins.
  const override = extraArgs
    .map((argument) => /^(?:-c|--config=)?model_provider=(.+)$/.exec(argument)?.[1])
    .findLast((name) => name !== undefined);
  const provider = unquoted(override ?? tomlField(topLevel, 'model_provider') ?? 'openai');
  if (provider === 'openai') return null;
  const section = config.split(/^\s*(?=\[)/m).find((part) => unquoted(providerOfSection(part)) === provider) ?? '';
  if (tomlField(section, 'requires_openai_auth') === 'true') return null;
  const keyVariable = unquoted(tomlField(section, 'env_key') ?? '');
  if (keyVariable !== '' && (env[keyVariable] ?? '') === '') {
    return {
      check,
      ok: false,
      message: `The model provider "${provider}" needs ${keyVariable}, which is not passed to Codex.`,
      hint: `Add ${keyVariable} to passEnv, and set it for the sidecar.`,
    };
  }
  return { check, ok: true, message: `handled by the model provider "${provider}"` };
}

/**
 * A field on a line of its own. A full TOML parser is not worth a dependency: Codex itself validates its config, and a
 * check that fails wrongly can be ignored with `ignoreChecks`.
 */
const tomlField = (toml: string, name: string): string | undefined =>
  new RegExp(`^\\s*${name}\\s*=\\s*("[^"]*"|'[^']*'|[^\\s#]+)`, 'm').exec(toml)?.[1];
const providerOfSection = (part: string): string => /^\[model_providers\.([^\]]+)\]/.exec(part)?.[1]?.trim() ?? '';
const unquoted = (value: string): string => value.replace(/^(["'])(.*)\1$/, '$2');
