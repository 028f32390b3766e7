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
  endOfWords,
  Type,
  type AskOptions,
  type OptionsOf,
  type ProgramStart,
  type RunnerCheck,
  type StopSignal,
  type WakeRequest,
} from '../plugin.ts';
import { openclawDialect } from './dialect.ts';

const { startWithinMs: _saysNothingFirst, ...common } = commonAgentOptions;

/** What it may do stands in its own config, and its run has no session to go on with, so there are no such options. */
const openclawOptions = Type.Object({
  ...common,
  /** Its config; relative to the config file of AgentCom. Default: its own place. */
  configFile: Type.Optional(Type.String({ minLength: 1 })),
});

export type OpenclawOptions = OptionsOf<typeof openclawOptions>;

const LEAST = '2026.9.6';
const INSTALL = 'Install it with "npm install -g openclaw" for a Node of at least 24.16, or correct bin.';
/** Beyond the task's own bound, so that the sidecar, which stops the whole tree, comes first. */
const TIMEOUT_MARGIN_S = 30;
const OWN_FLAGS = ['--json', '--cwd', '--model', '--message-file', '--timeout', '--config', '-m', '--message'];

/** The runner of OpenClaw without its gateway. The result is the object that it prints when it is done. */
export const openclaw = defineWakeRunner({
  name: 'openclaw',
  options: openclawOptions,
  problems: (options) => agentOptionProblems(options, OWN_FLAGS),
  create: ({ options, ...sidecar }) =>
    agentProgram(sidecar, {
      name: 'openclaw',
      title: 'OpenClaw',
      settings: options,
      start: ({ request }) => openclawStart(options, { request, baseDir: sidecar.baseDir }),
      dialect: openclawDialect,
      speaksFirst: false,
      printsEvents: false,
      cures: {
        auth: 'Run "openclaw models auth login" there, or correct the key in its config.',
        config: 'Correct the options of the runner or its config; it needs a Node of at least 24.16.',
        limit: 'Raise the run time of the task, or make the task smaller.',
      },
      check: (signal) => checkOpenclaw(options, { cwd: resolve(sidecar.baseDir, options.cwd ?? '.'), baseDir: sidecar.baseDir, signal }),
    }),
});

/** What is started for a run. */
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

/** What the doctor asks. Only a run of the program shows whether its Node is new enough. */
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
    checkAgentProgram({ argv, cwd, env, least: LEAST, says: /openclaw/i, install: INSTALL, signal }),
    checkLogin(argv, { cwd, env, signal }),
  ]);
  return [folder, program, ...(program.ok ? [login] : [])];
}

/** Of what it says when it cannot read its settings. */
const MISTAKE = /Failed to read config|config is invalid/i;

async function checkLogin(argv: readonly string[], options: AskOptions): Promise<RunnerCheck> {
  const check = 'login';
  const asked = await askProgram([...argv, 'models', 'status', '--check', '--json'], options);
  if (asked.kind === 'slow') return { check, ok: true, message: `not known: "openclaw models status --check" ${asked.message}` };
  // 2: it will end soon, which is no reason to stop now.
  if (asked.kind === 'answered' && (asked.exitCode === 0 || asked.exitCode === 2)) {
    return { check, ok: true, message: asked.exitCode === 0 ? 'its model can be called' : 'its login ends soon; renew it' };
  }
  const name = `"${argv.join(' ')} models status --check"`;
  if (asked.kind === 'failed') return { check, ok: false, message: `${name} ${asked.message}.` };
  const said = endOfWords(asked.stderr);
  if (MISTAKE.test(asked.stderr)) {
    return { check: 'settings', ok: false, message: `OpenClaw does not start with its settings: ${said}. Correct them.` };
  }
  const why = `exited with code ${String(asked.exitCode)}${said === '' ? '' : `: ${said}`}`;
  return { check, ok: false, message: `${name} ${why}. Run "openclaw models auth login" there.` };
}
