/** Wakes the Gemini CLI: `gemini({ cwd: 'project', permissions: 'full' })`. */
import { resolve } from 'node:path';
import { agentOptionProblems, agentProgram, defineWakeRunner } from '../plugin.ts';
import { checkGemini } from './check.ts';
import { geminiDialect } from './dialect.ts';
import { geminiOptions, geminiStart, OWN_FLAGS, PROMPT_MAX } from './start.ts';

export type { GeminiOptions } from './start.ts';

/** The runner for the Gemini CLI. The text since the last tool call is the result, once the program reports success. */
export const gemini = defineWakeRunner({
  name: 'gemini',
  options: geminiOptions,
  problems: (options) => agentOptionProblems(options, OWN_FLAGS),
  create: ({ options, ...deps }) =>
    agentProgram(deps, {
      name: 'gemini',
      title: 'Gemini CLI',
      settings: options,
      start: (facts) => geminiStart(options, facts),
      dialect: geminiDialect({ maxTurns: options.maxTurns }),
      promptMax: PROMPT_MAX,
      // Gemini CLI searches for sessions by folder.
      sessionPlace: resolve(deps.baseDir, options.cwd ?? '.'),
      hints: {
        auth: 'Run "gemini" on that machine and log in, or set GEMINI_API_KEY for the sidecar.',
        limit: 'Raise maxTurns (or maxSessionTurns in its settings), or make the task smaller.',
      },
      check: (signal) => checkGemini({ cwd: resolve(deps.baseDir, options.cwd ?? '.'), options, signal }),
    }),
});
