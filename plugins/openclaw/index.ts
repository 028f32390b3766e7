/** Wakes OpenClaw: `openclaw({ cwd: 'project', model: 'anthropic/claude-sonnet-5' })`. */
import { resolve } from 'node:path';
import {
  agentOptionProblems,
  agentProgram,
  argvOf,
  askProgram,
  baseEnvironment,
  checkAgentFolder,
  checkAgentProgram,
  commonAgentOptions,
  defineWakeRunner,
  lastLines,
  Type,
  type AskOptions,
  type OptionsOf,
  type ProgramStart,
  type RunnerCheck,
  type StopSignal,
  type WakeRequest,
} from '../plugin.ts';
import { openclawDialect } from './dialect.ts';

// OpenClaw prints nothing before its result.
const { startWithinMs: _startWithinMs, ...common } = commonAgentOptions;

/**
 * Permissions are set in OpenClaw's own config, and its runs have no session to resume, so there are no such options.
 */
const openclawOptions = Type.Object({
  ...common,
  /** OpenClaw's config; relative to AgentCom's config file. Default: OpenClaw's own location. */
  configFile: Type.Optional(Type.String({ minLength: 1 })),
});

/** Options of `openclaw()`. */
export type OpenclawOptions = OptionsOf<typeof openclawOptions>;

const MIN_VERSION = '2026.9.6';
const INSTALL = 'Install it with "npm install -g openclaw", with Node 24.16 or newer, or set the option "bin" to its path.';
/** Added to the task's time limit, so that the sidecar, which stops the whole process tree, acts first. */
const TIMEOUT_MARGIN_S = 30;
const OWN_FLAGS = ['--json', '--cwd', '--model', '--message-file', '--timeout', '--config', '-m', '--message'];

/** The runner for OpenClaw without its gateway. The result is the object printed at the end. */
export const openclaw = defineWakeRunner({
  name: 'openclaw',
  options: openclawOptions,
  problems: (options) => agentOptionProblems(options, OWN_FLAGS),
  create: ({ options, ...deps }) =>
    agentProgram(deps, {
      name: 'openclaw',
      title: 'OpenClaw',
      settings: options,
      start: ({ request }) => openclawStart(options, { request, baseDir: deps.baseDir }),
      dialect: openclawDialect,
      printsBeforeAnswer: false,
      printsEvents: false,
      hints: {
        auth: 'Run "openclaw models auth login" on that machine, or correct the key in its config.',
        config: 'Correct the options of the runner or the config of OpenClaw, which needs Node 24.16 or newer.',
        limit: 'Raise the run time of the task, or make the task smaller.',
      },
      check: (signal) => checkOpenclaw(options, { cwd: resolve(deps.baseDir, options.cwd ?? '.'), baseDir: deps.baseDir, signal }),
    }),
});

/** What to start for a run. */
export function openclawStart(
  options: OpenclawOptions,
  { request, baseDir }: { readonly request: WakeRequest; readonly baseDir: string },
): ProgramStart {
  const cwd = resolve(baseDir, options.cwd ?? '.');
  const runMaxMs = request.task['run_max_ms'];
  const timeoutS = typeof runMaxMs === 'number' ? Math.ceil(runMaxMs / 1_000) + TIMEOUT_MARGIN_S : null;
  return {
    argv: [
      ...argvOf(options.bin, 'openclaw'),
      ...['agent', 'exec', '--json', '--cwd', cwd],
      ...configFlag(options, baseDir),
      ...(options.model === undefined ? [] : ['--model', options.model]),
      ...(timeoutS === null ? [] : ['--timeout', String(timeoutS)]),
      ...(options.extraArgs ?? []),
      ...['--message-file', '-'],
    ],
    cwd,
    env: options.env,
    passEnv: options.passEnv,
  };
}

const configFlag = ({ configFile }: OpenclawOptions, baseDir: string): readonly string[] =>
  configFile === undefined ? [] : ['--config', resolve(baseDir, configFile)];

/** The checks. Whether the Node of OpenClaw is recent enough shows only when the program runs. */
async function checkOpenclaw(
  options: OpenclawOptions,
  { cwd, baseDir, signal }: { readonly cwd: string; readonly baseDir: string; readonly signal?: StopSignal | undefined },
): Promise<readonly RunnerCheck[]> {
  const folder = await checkAgentFolder(cwd);
  if (!folder.ok) return [folder];
  const argv = argvOf(options.bin, 'openclaw');
  const config = options.configFile === undefined ? {} : { OPENCLAW_CONFIG_PATH: resolve(baseDir, options.configFile) };
  const env = baseEnvironment({ cwd, env: { ...config, ...options.env }, passEnv: options.passEnv });
  const [program, login] = await Promise.all([
    checkAgentProgram({ argv, cwd, env, minVersion: MIN_VERSION, versionPattern: /openclaw/i, install: INSTALL, signal }),
    checkLogin(argv, { cwd, env, signal }),
  ]);
  return [folder, program, ...(program.ok ? [login] : [])];
}

/** What OpenClaw prints if its config is invalid. */
const CONFIG_ERROR = /Failed to read config|config is invalid/i;

async function checkLogin(argv: readonly string[], options: AskOptions): Promise<RunnerCheck> {
  const check = 'login';
  const result = await askProgram([...argv, 'models', 'status', '--check', '--json'], options);
  if (result.kind === 'slow') return { check, ok: true, message: `login unknown: "openclaw models status --check" ${result.message}` };
  // 2: the login expires soon, which is no reason to stop now.
  if (result.kind === 'answered' && (result.exitCode === 0 || result.exitCode === 2)) {
    return { check, ok: true, message: result.exitCode === 0 ? 'the model can be called' : 'the login expires soon; renew it' };
  }
  const name = `"${argv.join(' ')} models status --check"`;
  if (result.kind === 'failed') return { check, ok: false, message: `${name} ${result.message}.`, hint: HINT };
  const output = lastLines(result.stderr);
  if (CONFIG_ERROR.test(result.stderr)) {
    return { check: 'settings', ok: false, message: `OpenClaw cannot load its config: ${output}.`, hint: 'Fix that file.' };
  }
  const why = `exited with code ${String(result.exitCode)}${output === '' ? '' : `: ${output}`}`;
  return { check, ok: false, message: `${name} ${why}.`, hint: HINT };
}

const HINT = 'Run "openclaw models auth login" on the sidecar\'s machine, as its user.';
