/** What the doctor asks of Codex. Calls no model; its own `codex doctor` takes 10 s and fails without a network. */
import {
  argvOf,
  askProgram,
  baseEnvironment,
  checkAgentFolder,
  checkAgentProgram,
  type AskOptions,
  type RunnerCheck,
  type StopSignal,
} from '../plugin.ts';
import { CODEX_VARIABLES, type CodexOptions } from './codex-start.ts';

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
    checkAgentProgram({ argv, cwd, env, least: LEAST, install: INSTALL, signal }),
    checkLogin(argv, { cwd, env, signal }),
  ]);
  return [folder, program, ...(program.ok ? [login] : [])];
}

/** Its own answer does not count a key of the environment, with which it works all the same. */
async function checkLogin(argv: readonly string[], options: AskOptions): Promise<RunnerCheck> {
  const check = 'login';
  const key = ['CODEX_API_KEY', 'OPENAI_API_KEY'].find((name) => (options.env[name] ?? '') !== '');
  if (key !== undefined) return { check, ok: true, message: `${key} is set` };
  const asked = await askProgram([...argv, 'login', 'status'], options);
  if (asked.kind === 'slow') return { check, ok: true, message: `not known: "${argv.join(' ')} login status" ${asked.message}` };
  const isLoggedIn = asked.kind === 'answered' && asked.exitCode === 0;
  return {
    check,
    ok: isLoggedIn,
    message: isLoggedIn ? 'logged in' : 'Codex is not logged in. Run "codex login" there, or give the sidecar CODEX_API_KEY.',
  };
}
