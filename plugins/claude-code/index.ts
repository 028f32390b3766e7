/** Wakes Claude Code: `claudeCode({ cwd: 'project', permissions: 'edit' })`. */
import { resolve } from 'node:path';
import { agentOptionProblems, agentProgram, argvOf, defineWakeRunner } from '../plugin.ts';
import { checkClaude } from './check.ts';
import { claudeDialect } from './dialect.ts';
import { claudeOptions, claudeStart, OWN_FLAGS } from './start.ts';

export type { ClaudeCodeOptions } from './start.ts';

/**
 * The runner for Claude Code. The prompt is passed on standard input; the `result` line is the result, whatever the
 * exit code.
 */
export const claudeCode = defineWakeRunner({
  name: 'claude-code',
  options: claudeOptions,
  problems: (options) => agentOptionProblems(options, OWN_FLAGS),
  create: ({ options, ...deps }) =>
    agentProgram(deps, {
      name: 'claude-code',
      title: 'Claude Code',
      settings: options,
      start: (facts) => claudeStart(options, facts),
      dialect: claudeDialect({ failsWhenDenied: options.whenDenied === 'fail' }),
      hints: {
        auth: 'Run "claude" on that machine and log in with /login, or set ANTHROPIC_API_KEY for the sidecar.',
        limit: 'Raise maxTurns or maxCostUsd, or make the task smaller.',
        denied: 'Name the tools in allowTools, or change permissions.',
      },
      check: (signal) =>
        checkClaude({ argv: argvOf(options.bin, 'claude'), cwd: resolve(deps.baseDir, options.cwd ?? '.'), options, signal }),
    }),
});
