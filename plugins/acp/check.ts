/** The checks for an agent that speaks ACP: it is initialized, but no session is opened. */
import {
  askProgram,
  baseEnvironment,
  checkAgentFolder,
  checkClaudeSettings,
  lastLines,
  findProgram,
  shownPath,
  isAtLeast,
  objectIn,
  objectOf,
  textOf,
  versionIn,
  type AskOptions,
  type RunnerCheck,
  type JsonObject,
  type StopSignal,
} from '../plugin.ts';
import { acpArgv, acpVariables, presetOf, traitsOf, type AcpOptions } from './options.ts';

const PROTOCOL_VERSION = 1;
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: PROTOCOL_VERSION, clientInfo: { name: 'agentcom-doctor', version: '1' }, clientCapabilities: {} },
};

/** `cwd` is absolute. Whether the agent is logged in shows only at its first prompt. */
export async function checkAcp(cwd: string, options: AcpOptions, signal?: StopSignal): Promise<readonly RunnerCheck[]> {
  const folder = await checkAgentFolder(cwd);
  if (!folder.ok) return [folder];
  const env = baseEnvironment({ cwd, ...acpVariables(options) });
  const [program, settings] = await Promise.all([
    checkProgram({ cwd, env, signal }, options),
    // Claude's adapter initializes even with broken settings; the others report what is wrong with theirs.
    options.agent === 'claude' ? checkClaudeSettings(cwd, env) : [],
  ]);
  return [folder, program, ...settings];
}

async function checkProgram(asking: Pick<AskOptions, 'cwd' | 'env' | 'signal'>, options: AcpOptions): Promise<RunnerCheck> {
  const { cwd, env } = asking;
  const argv = acpArgv(options);
  const { install } = traitsOf(options);
  const passed = (message: string): RunnerCheck => ({ check: 'program', ok: true, message });
  const failed = (message: string, hint = install): RunnerCheck => ({ check: 'program', ok: false, message, hint });

  const found = await findProgram({ program: argv[0] ?? '', cwd, path: env['PATH'] });
  if (found.kind === 'missing') return failed(`There is no "${argv[0] ?? ''}" on PATH.`, `${install} ${shownPath(env['PATH'])}`);
  if (found.kind === 'not_executable') return failed(`"${found.file}" is not an executable file.`);
  const result = await askProgram(argv, {
    ...asking,
    input: `${JSON.stringify(INITIALIZE)}\n`,
    isAnswer: (stdout) => answerIn(stdout) !== null,
  });
  const name = `"${argv.join(' ')}"`;
  // Some agents take 6 s to start on a busy machine, which is no reason to assign them no tasks.
  if (result.kind === 'slow') return passed(`${found.file}; still starting: it ${result.message}`);
  if (result.kind === 'failed') return failed(`${name} ${result.message}.`);
  const response = answerIn(result.stdout);
  if (response === null) {
    const output = lastLines(result.stderr) || lastLines(result.stdout);
    return failed(`${name} exited with code ${String(result.exitCode)} instead of answering: ${output}.`);
  }
  return checkResponse(found.file, response, options);
}

function checkResponse(file: string, response: JsonObject, options: AcpOptions): RunnerCheck {
  const check = 'program';
  const { install } = traitsOf(options);
  const error = textOf(objectOf(response['error'])['message']);
  if (error !== null) return { check, ok: false, message: `${file} answered initialize with an error: ${error}.`, hint: install };
  const { protocolVersion, agentInfo } = objectOf(response['result']);
  if (protocolVersion !== PROTOCOL_VERSION) {
    return {
      check,
      ok: false,
      message: `${file} speaks version ${String(protocolVersion)} of ACP; this runner speaks version 1.`,
      hint: install,
    };
  }
  const version = versionIn(textOf(objectOf(agentInfo)['version']) ?? '');
  const minVersion = presetOf(options)?.minVersion;
  const isNewEnough = version === null || minVersion === undefined || isAtLeast(version, minVersion);
  const message = `${file} ${version ?? '(version unknown)'}`;
  if (isNewEnough) return { check, ok: true, message };
  return { check, ok: false, message: `${message} is older than ${String(minVersion)}, the oldest version known to work.`, hint: install };
}

/** The answer to `initialize` among complete lines; null while there is none. */
function answerIn(stdout: string): JsonObject | null {
  const messages = stdout.split('\n').map(objectIn);
  return messages.find((message) => message?.['id'] === INITIALIZE.id && message['method'] === undefined) ?? null;
}
