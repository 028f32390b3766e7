/** What the doctor asks of an agent that speaks ACP: it is greeted, and no session is opened. */
import {
  askProgram,
  baseEnvironment,
  checkAgentFolder,
  checkClaudeSettings,
  endOfWords,
  findProgram,
  isAtLeast,
  objectIn,
  objectOf,
  textOf,
  versionIn,
  type AskOptions,
  type RunnerCheck,
  type SaidObject,
  type StopSignal,
} from '../plugin.ts';
import { acpArgv, acpVariables, presetOf, traitsOf, type AcpOptions } from './options.ts';

const PROTOCOL_VERSION = 1;
const GREETING = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: PROTOCOL_VERSION, clientInfo: { name: 'agentcom-doctor', version: '1' }, clientCapabilities: {} },
};

/** `cwd` is absolute. Whether it is logged in shows at its first prompt only. */
export async function checkAcp(cwd: string, options: AcpOptions, signal?: StopSignal): Promise<readonly RunnerCheck[]> {
  const folder = await checkAgentFolder(cwd);
  if (!folder.ok) return [folder];
  const env = baseEnvironment({ cwd, ...acpVariables(options) });
  const [program, settings] = await Promise.all([
    checkGreeting({ cwd, env, signal }, options),
    // It greets with broken settings, too. The others say what is wrong with theirs instead.
    options.agent === 'claude' ? checkClaudeSettings(cwd, env) : [],
  ]);
  return [folder, program, ...settings];
}

async function checkGreeting(asking: Pick<AskOptions, 'cwd' | 'env' | 'signal'>, options: AcpOptions): Promise<RunnerCheck> {
  const { cwd, env } = asking;
  const argv = acpArgv(options);
  const { install } = traitsOf(options);
  const answer = (ok: boolean, message: string): RunnerCheck => ({ check: 'program', ok, message });

  const found = await findProgram({ program: argv[0] ?? '', cwd, path: env['PATH'] });
  if (found.kind === 'missing')
    return answer(false, `There is no "${argv[0] ?? ''}" on PATH. ${install} PATH: ${env['PATH'] ?? 'not set'}`);
  if (found.kind === 'not_executable') return answer(false, `"${found.file}" is not an executable file. ${install}`);
  const asked = await askProgram(argv, {
    ...asking,
    input: `${JSON.stringify(GREETING)}\n`,
    isAnswer: (stdout) => answerIn(stdout) !== null,
  });
  const name = `"${argv.join(' ')}"`;
  // Some take 6 s to start on a busy machine, which is no reason to give them no work.
  if (asked.kind === 'slow') return answer(true, `${found.file}; it is starting, and ${asked.message}`);
  if (asked.kind === 'failed') return answer(false, `${name} ${asked.message}. ${install}`);
  const greeted = answerIn(asked.stdout);
  if (greeted === null) {
    const said = endOfWords(asked.stderr) || endOfWords(asked.stdout);
    return answer(false, `${name} exited with code ${String(asked.exitCode)} instead of answering: ${said}. ${install}`);
  }
  return judged(found.file, greeted, options);
}

function judged(file: string, greeted: SaidObject, options: AcpOptions): RunnerCheck {
  const check = 'program';
  const error = textOf(objectOf(greeted['error'])['message']);
  if (error !== null) return { check, ok: false, message: `${file} refused to be greeted: ${error}. ${traitsOf(options).install}` };
  const { protocolVersion, agentInfo } = objectOf(greeted['result']);
  if (protocolVersion !== PROTOCOL_VERSION) {
    return { check, ok: false, message: `${file} speaks version ${String(protocolVersion)} of ACP; this runner speaks version 1.` };
  }
  const version = versionIn(textOf(objectOf(agentInfo)['version']) ?? '');
  const least = presetOf(options)?.least;
  const isNewEnough = version === null || least === undefined || isAtLeast(version, least);
  const message = `${file} ${version ?? '(it does not say its version)'}`;
  return {
    check,
    ok: isNewEnough,
    message: isNewEnough
      ? message
      : `${message} is older than ${String(least)}, the oldest that is known to work. ${traitsOf(options).install}`,
  };
}

/** The answer to the greeting among whole lines; null as long as there is none. */
function answerIn(stdout: string): SaidObject | null {
  const messages = stdout.split('\n').map(objectIn);
  return messages.find((message) => message?.['id'] === GREETING.id && message['method'] === undefined) ?? null;
}
