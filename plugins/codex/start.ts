/** The options of the Codex runner, and the command line that they make. */
import { join, resolve } from 'node:path';
import {
  CODEX_VARIABLES,
  argvOf,
  commonAgentOptions,
  maxTurnsOption,
  permissionsOption,
  sessionOption,
  Type,
  type AgentStartFacts,
  type ConfigProblem,
  type OptionsOf,
  type ProgramStart,
} from '../plugin.ts';

/** It has no bound on cost and no list of tools, so there are no such options. */
export const codexOptions = Type.Object({
  ...commonAgentOptions,
  permissions: permissionsOption,
  /** With permissions `edit` its sandbox keeps `.git` read-only, and `git commit` fails in it. True opens the `.git` of `cwd`. Default false. */
  mayCommit: Type.Optional(Type.Boolean()),
  /** Actions and messages of the agent. It has no such bound itself: the run is stopped. */
  maxTurns: maxTurnsOption,
  session: sessionOption,
});

export type CodexOptions = OptionsOf<typeof codexOptions>;

const SANDBOXES = { 'read-only': 'read-only', edit: 'workspace-write', full: 'danger-full-access' } as const;

/** The longest prompt that it takes. */
export const PROMPT_MAX = { unit: 'characters', count: 1_048_576 } as const;

export const OWN_FLAGS = [
  ...['--json', '--skip-git-repo-check', '-C', '--cd', '-m', '--model', '-s', '--sandbox', '--full-auto'],
  ...['--dangerously-bypass-approvals-and-sandbox', 'resume', '-', '--last'],
];

export const codexProblems = ({ mayCommit, permissions = 'edit' }: CodexOptions): readonly ConfigProblem[] =>
  mayCommit === true && permissions !== 'edit' ? [{ path: 'mayCommit', message: 'has a meaning only with permissions "edit"' }] : [];

/** What is started for a run. The flags stand before `resume`, which itself does not know all of them. */
export function codexStart(
  options: CodexOptions,
  { session, baseDir }: Pick<AgentStartFacts, 'session'> & { readonly baseDir: string },
): ProgramStart {
  const { permissions = 'edit', mayCommit = false, model } = options;
  const cwd = resolve(baseDir, options.cwd ?? '.');
  return {
    argv: [
      ...argvOf(options.bin, 'codex'),
      ...['exec', '--json', '--skip-git-repo-check', '-C', cwd],
      ...(model === undefined ? [] : ['-m', model]),
      ...(permissions === 'cli-default' ? [] : ['-s', SANDBOXES[permissions]]),
      // A JSON string is also one of TOML.
      ...(mayCommit ? ['-c', `sandbox_workspace_write.writable_roots=[${JSON.stringify(join(cwd, '.git'))}]`] : []),
      // Without this it takes 5 s to end where that service cannot be reached.
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
