/** The environment of an agent: small on purpose, because the agent's tools inherit it, secrets and all. */
import type { WakeRequest } from '../../core/ports/wake-runner.ts';

/** What every program needs to find its tools and its home. Nothing else of the sidecar's environment is passed on. */
const BASE_NAMES = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'USER'] as const;

/** Set for every run; a config cannot change them. */
export const TASK_VARIABLES = [
  'AGENTCOM_TASK_ID',
  'AGENTCOM_TASK_FILE',
  'AGENTCOM_RESULTS_DIR',
  'AGENTCOM_GENERATION',
  'AGENTCOM_AGENT_ID',
  'AGENTCOM_RUN_ID',
] as const;

export interface RunEnvironmentOptions {
  readonly request: WakeRequest;
  /** Absolute. Also becomes PWD, which some programs believe more than their real folder. */
  readonly cwd: string;
  /** Variables that the config sets. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Names of variables that are passed on as they are; those that are not set are left out. */
  readonly passEnv?: readonly string[] | undefined;
  /** What to pick from; the sidecar's own environment unless a test says otherwise. */
  readonly ambient?: Readonly<Record<string, string | undefined>> | undefined;
}

export function runEnvironment(options: RunEnvironmentOptions): Record<string, string> {
  const { request, ambient = process.env } = options;
  const environment: Record<string, string> = {};
  for (const name of [...BASE_NAMES, ...(options.passEnv ?? [])]) {
    const value = ambient[name];
    if (value !== undefined) environment[name] = value;
  }
  const ofTask: Record<(typeof TASK_VARIABLES)[number], string> = {
    AGENTCOM_TASK_ID: request.taskId,
    AGENTCOM_TASK_FILE: request.taskFile,
    AGENTCOM_RESULTS_DIR: request.resultsDir,
    AGENTCOM_GENERATION: String(request.generation),
    AGENTCOM_AGENT_ID: request.agentId,
    AGENTCOM_RUN_ID: request.runId,
  };
  return { ...environment, PWD: options.cwd, ...options.env, ...ofTask };
}
