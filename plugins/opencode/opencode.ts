/** Wakes opencode: `opencode({ cwd: 'project', model: 'anthropic/claude-sonnet-5' })`. */
import { resolve } from 'node:path';
import {
  agentOptionProblems,
  agentProgram,
  argvOf,
  baseEnvironment,
  checkAgentFolder,
  checkAgentProgram,
  defineWakeRunner,
  type RunnerCheck,
  type StopSignal,
} from '../plugin.ts';
import { opencodeDialect } from './opencode-dialect.ts';
import { opencodeOptions, opencodeProblems, opencodeStart, opencodeVariables, OWN_FLAGS, type OpencodeOptions } from './opencode-start.ts';

export type { OpencodeOptions } from './opencode-start.ts';

const LEAST = '1.18.33';
const INSTALL = 'Install it with "npm install -g opencode-ai" (with its install scripts), or correct bin.';

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
  return [folder, await checkAgentProgram({ argv: argvOf(options.bin, 'opencode'), cwd, env, least: LEAST, install: INSTALL, signal })];
}
