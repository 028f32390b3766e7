/** Wakes opencode: `opencode({ cwd: 'project', model: 'anthropic/claude-sonnet-5' })`. */
import { resolve } from 'node:path';
import {
  agentOptionProblems,
  agentProgram,
  argvOf,
  askProgram,
  baseEnvironment,
  checkAgentFolder,
  checkAgentProgram,
  defineWakeRunner,
  lastLines,
  ONLY_VERSION,
  type AskOptions,
  type RunnerCheck,
  type StopSignal,
} from '../plugin.ts';
import { opencodeDialect } from './dialect.ts';
import { opencodeOptions, opencodeProblems, opencodeStart, opencodeVariables, OWN_FLAGS, type OpencodeOptions } from './start.ts';

export type { OpencodeOptions } from './start.ts';

const MIN_VERSION = '1.18.33';
const INSTALL = 'Install it with "npm install -g opencode-ai" (with its install scripts), or set the option "bin" to its path.';

/** Timeout of both checks together, milliseconds: the doctor gives them 5 s. */
const ASKED_WITHIN_MS = 4_500;
const LIST_WITHIN_MS_MIN = 500;

/** The runner for opencode. A run has succeeded if the program exits by itself and its last step ended with `stop`. */
export const opencode = defineWakeRunner({
  name: 'opencode',
  options: opencodeOptions,
  problems: (options) => [...agentOptionProblems(options, OWN_FLAGS), ...opencodeProblems(options)],
  create: ({ options, ...deps }) => {
    const cwd = resolve(deps.baseDir, options.cwd ?? '.');
    return agentProgram(deps, {
      name: 'opencode',
      title: 'opencode',
      settings: options,
      start: ({ session }) => opencodeStart(options, { session, baseDir: deps.baseDir }),
      dialect: opencodeDialect(options),
      // opencode prints nothing before its model has answered.
      printsBeforeAnswer: false,
      // Resuming a session from another folder hangs.
      sessionPlace: cwd,
      hints: {
        auth: 'Run "opencode auth login" on that machine, or add the variable with its key to passEnv.',
        limit: 'Raise maxTurns or maxCostUsd, or make the task smaller.',
        denied: 'Add the tool to allowTools, or change permissions.',
      },
      check: (signal) => checkOpencode(cwd, options, signal),
    });
  },
});

/** The checks. No command of opencode shows reliably whether it is logged in, since the key may be in its config. */
async function checkOpencode(cwd: string, options: OpencodeOptions, signal?: StopSignal): Promise<readonly RunnerCheck[]> {
  const folder = await checkAgentFolder(cwd, { readOnly: options.permissions === 'read-only' });
  if (!folder.ok) return [folder];
  const env = baseEnvironment({ cwd, env: opencodeVariables(options), passEnv: options.passEnv });
  const argv = argvOf(options.bin, 'opencode');
  const beganMs = performance.now();
  const program = await checkAgentProgram({
    argv,
    cwd,
    env,
    minVersion: MIN_VERSION,
    versionPattern: ONLY_VERSION,
    install: INSTALL,
    signal,
  });
  if (!program.ok) return [folder, program];
  // Sequential: both would create the database of an empty home, and one of them would fail.
  const leftMs = Math.max(LIST_WITHIN_MS_MIN, ASKED_WITHIN_MS - (performance.now() - beganMs));
  return [folder, program, ...(await checkSettings(argv, options.model, { cwd, env, signal, withinMs: leftMs }))];
}

/**
 * The model list of opencode includes the models of its settings, so listing them validates the settings. If listing
 * takes too long, nothing is known. Listing also creates the database before any run, since two runs that create it
 * concurrently fail.
 */
async function checkSettings(argv: readonly string[], model: string, options: AskOptions): Promise<readonly RunnerCheck[]> {
  const check = 'settings';
  const result = await askProgram([...argv, 'models'], options);
  if (result.kind !== 'answered') return [];
  if (result.exitCode !== 0) {
    const output = lastLines(result.stderr) || lastLines(result.stdout);
    return [{ check, ok: false, message: `"${argv.join(' ')} models" exited with code ${String(result.exitCode)}: ${output}`, hint: HINT }];
  }
  const isListed = result.stdout.split('\n').some((line) => line.trim() === model);
  if (isListed) return [{ check, ok: true, message: `${model} is available` }];
  return [{ check, ok: false, message: `"${argv.join(' ')} models" has no ${model}.`, hint: HINT }];
}

const HINT = 'Correct model or the settings of opencode, or log in to the provider of the model with "opencode auth login".';
