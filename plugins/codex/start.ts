/** The options of the Codex runner, and the command line built from them. */
import { join, resolve } from 'node:path';
import {
  CODEX_VARIABLES,
  argvOf,
  commonAgentOptions,
  maxTurnsOption,
  permissionsOption,
  sessionOption,
  Type,
  type AgentStartContext,
  type ConfigProblem,
  type OptionsOf,
  type ProgramStart,
} from '../plugin.ts';

/** Codex has no cost limit and no tool list, so there are no such options. */
export const codexOptions = Type.Object({
  ...commonAgentOptions,
  permissions: permissionsOption,
  /**
   * With permissions `edit` the sandbox of Codex keeps `.git` read-only, so `git commit` fails. True makes the `.git` of `cwd`
   * writable. Default false.
   */
  mayCommit: Type.Optional(Type.Boolean()),
  /** Limit on actions and messages of the agent. Codex has no such limit itself: the run is stopped. */
  maxTurns: maxTurnsOption,
  session: sessionOption,
});

/** Options of `codex()`. */
export type CodexOptions = OptionsOf<typeof codexOptions>;

const SANDBOXES = { 'read-only': 'read-only', edit: 'workspace-write', full: 'danger-full-access' } as const;

/** The longest prompt that Codex accepts. */
export const PROMPT_MAX = { unit: 'characters', count: 1_048_576 } as const;

export const OWN_FLAGS = [
  ...['--json', '--skip-git-repo-check', '-C', '--cd', '-m', '--model', '-s', '--sandbox', '--full-auto'],
  ...['--dangerously-bypass-approvals-and-sandbox', 'resume', '-', '--last'],
];

export const codexProblems = ({ mayCommit, permissions = 'edit' }: CodexOptions): readonly ConfigProblem[] =>
  mayCommit === true && permissions !== 'edit' ? [{ path: 'mayCommit', message: 'only applies with permissions "edit"' }] : [];

/** What to start for a run. The flags precede `resume`, which does not support all of them itself. */
export function codexStart(
  options: CodexOptions,
  { session, baseDir }: Pick<AgentStartContext, 'session'> & { readonly baseDir: string },
): ProgramStart {
  const { permissions = 'edit', mayCommit = false, model } = options;
  const cwd = resolve(baseDir, options.cwd ?? '.');
  return {
    argv: [
      ...argvOf(options.bin, 'codex'),
      ...['exec', '--json', '--skip-git-repo-check', '-C', cwd],
      ...(model === undefined ? [] : ['-m', model]),
      ...(permissions === 'cli-default' ? [] : ['-s', SANDBOXES[permissions]]),
      // A JSON string is also a TOML string.
      ...(mayCommit ? ['-c', `sandbox_workspace_write.writable_roots=[${JSON.stringify(join(cwd, '.git'))}]`] : []),
      // Without this, exiting takes 5 s if that service is unreachable.
      ...['-c', 'analytics.enabled=false'],
      ...(options.extraArgs ?? []),
      ...(session === null ? [] : ['resume', session.id]),
      '-',
    ],
    cwd,
    env: options.env,
    passEnv: [...CODEX_VARIABLES, ...(options.passEnv ?? [])],
  };
}
