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
  endOfWords,
  ONLY_VERSION,
  type AskOptions,
  type RunnerCheck,
  type StopSignal,
} from '../plugin.ts';
import { opencodeDialect } from './dialect.ts';
import { opencodeOptions, opencodeProblems, opencodeStart, opencodeVariables, OWN_FLAGS, type OpencodeOptions } from './start.ts';

export type { OpencodeOptions } from './start.ts';

const LEAST = '1.18.33';
const INSTALL = 'Install it with "npm install -g opencode-ai" (with its install scripts), or correct bin.';

/** Both of its checks, milliseconds: the doctor gives them 5 s. */
const ASKED_WITHIN_MS = 4_500;
const LIST_WITHIN_MS_MIN = 500;

/** The runner of opencode. It has succeeded when it ends by itself and its last step ended with `stop`. */
export const opencode = defineWakeRunner({
  name: 'opencode',
  options: opencodeOptions,
  problems: (options) => [...agentOptionProblems(options, OWN_FLAGS), ...opencodeProblems(options)],
  create: ({ options, ...sidecar }) => {
    const cwd = resolve(sidecar.baseDir, options.cwd ?? '.');
    return agentProgram(sidecar, {
      name: 'opencode',
      title: 'opencode',
      settings: options,
      start: ({ session }) => opencodeStart(options, { session, baseDir: sidecar.baseDir }),
      dialect: opencodeDialect(options),
      // It prints nothing before its model has answered.
      speaksFirst: false,
      // A session that is gone on with from another folder hangs.
      sessionPlace: cwd,
      cures: {
        auth: 'Run "opencode auth login" there, or name the variable of its key in passEnv.',
        limit: 'Raise maxTurns or maxCostUsd, or make the task smaller.',
        denied: 'Name the tool in allowTools, or change permissions.',
      },
      check: (signal) => checkOpencode(cwd, options, signal),
    });
  },
});

/** What the doctor asks. Nothing in its answers says surely whether it is logged in: its key may stand in its config. */
async function checkOpencode(cwd: string, options: OpencodeOptions, signal?: StopSignal): Promise<readonly RunnerCheck[]> {
  const folder = await checkAgentFolder(cwd, { mayOnlyRead: options.permissions === 'read-only' });
  if (!folder.ok) return [folder];
  const env = baseEnvironment({ cwd, env: opencodeVariables(options), passEnv: options.passEnv });
  const argv = argvOf(options.bin, 'opencode');
  const beganMs = performance.now();
  const program = await checkAgentProgram({ argv, cwd, env, least: LEAST, says: ONLY_VERSION, install: INSTALL, signal });
  if (!program.ok) return [folder, program];
  // Not beside it: each creates the database of an empty home, and one of them fails at that.
  const leftMs = Math.max(LIST_WITHIN_MS_MIN, ASKED_WITHIN_MS - (performance.now() - beganMs));
  return [folder, program, ...(await checkSettings(argv, options.model, { cwd, env, signal, withinMs: leftMs }))];
}

/**
 * Its list of models has those of its settings, which it reads for it. Where that list takes long, nothing is known. The list also
 * creates its database, before any run: two runs that create it at the same time fail.
 */
async function checkSettings(argv: readonly string[], model: string, options: AskOptions): Promise<readonly RunnerCheck[]> {
  const check = 'settings';
  const asked = await askProgram([...argv, 'models'], options);
  if (asked.kind !== 'answered') return [];
  if (asked.exitCode !== 0) {
    const said = endOfWords(asked.stderr) || endOfWords(asked.stdout);
    return [{ check, ok: false, message: `"${argv.join(' ')} models" exited with code ${String(asked.exitCode)}: ${said}` }];
  }
  const isListed = asked.stdout.split('\n').some((line) => line.trim() === model);
  const message = `"${argv.join(' ')} models" has no ${model}: correct model, or log in to its provider with "opencode auth login".`;
  return [{ check, ok: isListed, message: isListed ? `it has ${model}` : message }];
}
