/** Wakes Codex: `codex({ cwd: 'project', permissions: 'edit' })`. */
import { resolve } from 'node:path';
import { agentOptionProblems, agentProgram, defineWakeRunner } from '../plugin.ts';
import { checkCodex } from './check.ts';
import { codexDialect } from './dialect.ts';
import { codexOptions, codexProblems, codexStart, OWN_FLAGS, PROMPT_MAX } from './start.ts';

export type { CodexOptions } from './start.ts';

/**
 * The runner for Codex. The prompt is passed on standard input; the last message is the result, once the turn is
 * completed.
 */
export const codex = defineWakeRunner({
  name: 'codex',
  options: codexOptions,
  problems: (options) => [...agentOptionProblems(options, OWN_FLAGS), ...codexProblems(options)],
  create: ({ options, ...deps }) =>
    agentProgram(deps, {
      name: 'codex',
      title: 'Codex',
      settings: options,
      start: ({ session }) => codexStart(options, { session, baseDir: deps.baseDir }),
      dialect: codexDialect({ model: options.model, maxTurns: options.maxTurns }),
      promptMax: PROMPT_MAX,
      hints: {
        auth: 'Run "codex login" on that machine, or set CODEX_API_KEY for the sidecar.',
        limit: 'Raise maxTurns, or make the task smaller.',
      },
      check: (signal) => checkCodex({ cwd: resolve(deps.baseDir, options.cwd ?? '.'), options, signal }),
    }),
});
