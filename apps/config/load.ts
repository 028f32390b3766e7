/** Finds, evaluates and checks the config file. */
import { dirname, resolve } from 'node:path';
import type { ConfigProblem, ResolvedConfig } from '../../core/config/config.ts';
import { resolveConfig, type ResolveAnswer } from '../../core/config/resolve.ts';
import { isRecord } from '../../core/domain/describe-value.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { envOver, type Env } from '../../adapters/env-process/env.ts';
import { evaluationError } from './evaluation-error.ts';
import { findConfigFile } from './find-file.ts';

export interface LoadOptions {
  /** `--config FILE`, relative to `cwd`; without it the file is looked for in `cwd`. */
  readonly configFile?: string | undefined;
  /** Default: the current folder. */
  readonly cwd?: string | undefined;
}

export interface LoadedConfig {
  /** Absolute. */
  readonly file: string;
  readonly config: ResolvedConfig;
  /** The variables that it read with `env`, as they were. */
  readonly variables: ReadonlyMap<string, string | undefined>;
}

/**
 * Throws `AC_CONFIG_NOT_FOUND`, `AC_CONFIG_INVALID` with every mistake or with the place where the evaluation fails, `AC_LISTEN_INSECURE` if all
 * mistakes are about security, and any coded error that the file itself throws, such as `AC_ENV_INVALID`.
 */
export async function loadConfigFile(options: LoadOptions = {}): Promise<LoadedConfig> {
  const cwd = resolve(options.cwd ?? '.');
  const file = findConfigFile(options.configFile, cwd);
  const baseDir = dirname(file);
  const variables = new Map<string, string | undefined>();
  const env = envOver((name) => {
    variables.set(name, process.env[name]);
    return process.env[name];
  });
  const written = await evaluate(file, env);
  mustBeConfig(file, written);
  const answer = check(file, written, baseDir);
  if (answer.kind === 'invalid') throw invalid(file, answer.problems);
  return { file, config: answer.config, variables };
}

/** `export const config = defineConfig({ … })`: the whole config is found one level too deep. */
function mustBeConfig(file: string, written: unknown): void {
  if (!isRecord(written) || isConfig(written)) return;
  const name = Object.keys(written).find((key) => isConfig(written[key]));
  if (name === undefined) return;
  throw new AgentcomError('AC_CONFIG_INVALID', `The config ${file} has its hub or sidecar one level too deep, in "${name}".`, {
    hint: 'Write: export default defineConfig({ … })',
    details: { file },
  });
}

const isConfig = (value: unknown): boolean => isRecord(value) && (isRecord(value['hub']) || isRecord(value['sidecar']));

/** A config whose getters throw counts as a file that throws. */
function check(file: string, config: unknown, baseDir: string): ResolveAnswer {
  try {
    return resolveConfig(config, {
      baseDir,
      absolute: (path) => resolve(baseDir, path),
      adminToken: process.env['AGENTCOM_ADMIN_TOKEN'] || undefined,
    });
  } catch (thrown) {
    throw evaluationError(file, thrown);
  }
}

/**
 * Evaluates the config with jiti, which takes TypeScript on every version of Node. The modules of this package are passed in as they are loaded
 * here, so that the config gets these very instances wherever it is; only its `env` differs, which also records what was read. Nothing is
 * cached: a changed file is read again.
 */
async function evaluate(file: string, env: Env): Promise<unknown> {
  const { startTransformThread } = await import('./transform-thread.ts');
  const thread = startTransformThread();
  const stuck = unsettled();
  try {
    const [{ createJiti }, virtualModules] = await Promise.all([import('jiti'), ownModules(env)]);
    const { transform } = thread;
    const jiti = createJiti(file, { interopDefault: true, moduleCache: false, fsCache: false, virtualModules, transform });
    return (await Promise.race([jiti.import(file, { default: true }), stuck.promise])) ?? {};
  } catch (thrown) {
    throw evaluationError(file, thrown);
  } finally {
    stuck.end();
    thread.end();
  }
}

/** Rejects once this process has nothing left to do: what it awaits then never settles. */
function unsettled(): { readonly promise: Promise<never>; readonly end: () => void } {
  let onIdle = (): void => undefined;
  const promise = new Promise<never>((_resolve, reject) => {
    onIdle = () => reject(new Error('it awaits a promise that never settles'));
  });
  process.once('beforeExit', onIdle);
  return { promise, end: () => void process.off('beforeExit', onIdle) };
}

async function ownModules(env: Env): Promise<Record<string, Record<string, unknown>>> {
  const [entry, storage, transport, runners, plugin] = await Promise.all([
    import('../entry/index.ts'),
    import('../../adapters/storages.ts'),
    import('../../adapters/transports.ts'),
    import('../../plugins/runners.ts'),
    import('../../plugins/plugin.ts'),
  ]);
  return {
    agentcom: { ...entry, env },
    'agentcom/storage': storage,
    'agentcom/transport': transport,
    'agentcom/runners': runners,
    'agentcom/plugin': plugin,
  };
}

function invalid(file: string, problems: readonly ConfigProblem[]): AgentcomError {
  const count = problems.length === 1 ? 'a mistake' : `${problems.length} mistakes`;
  const lines = problems.map(({ path, message }) => `  ${path}: ${message}${/[.?]$/.test(message) ? '' : '.'}`);
  const [code = 'AC_CONFIG_INVALID', ...others] = new Set(problems.map((problem) => problem.code));
  return new AgentcomError(others.length === 0 ? code : 'AC_CONFIG_INVALID', [`The config ${file} has ${count}:`, ...lines].join('\n'), {
    details: { file, problems },
  });
}
