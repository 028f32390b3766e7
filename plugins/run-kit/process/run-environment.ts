/** The environment of an agent. Deliberately small, because the agent's tools inherit it, secrets included. */
import { traceContextOf } from '../../../core/domain/task/trace-context.ts';
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';

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

/** What the environment of an agent is built from. */
export interface BaseEnvironmentOptions {
  /** Absolute. Also becomes PWD, which some programs trust more than their working directory. */
  readonly cwd: string;
  /** Variables set by the config. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Names of variables to pass on; unset ones are omitted. */
  readonly passEnv?: readonly string[] | undefined;
  /** Source for `passEnv`; the sidecar's own environment unless a test overrides it. */
  readonly ambient?: Readonly<Record<string, string | undefined>> | undefined;
}

/** What the environment of one run is built from. */
export interface RunEnvironmentOptions extends BaseEnvironmentOptions {
  readonly request: WakeRequest;
}

/** The environment of an agent without a task, for the doctor's checks. */
export function baseEnvironment({ cwd, env, passEnv = [], ambient = process.env }: BaseEnvironmentOptions): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of [...BASE_NAMES, ...passEnv]) {
    const value = ambient[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, PWD: cwd, ...env };
}

/** The trace of the task, in the variables that tracing libraries and tools read. Validated again, since the hub is not trusted. */
function traceVariables({ task }: WakeRequest): Record<string, string> {
  const [parent, state] = [task['traceparent'], task['tracestate']].map((value) => (typeof value === 'string' ? value : undefined));
  const { traceparent, tracestate } = traceContextOf(parent, state);
  return {
    ...(traceparent === undefined ? {} : { TRACEPARENT: traceparent }),
    ...(tracestate === undefined ? {} : { TRACESTATE: tracestate }),
  };
}

/** The environment of a run. */
export function runEnvironment({ request, ...base }: RunEnvironmentOptions): Record<string, string> {
  const ofTask: Record<(typeof TASK_VARIABLES)[number], string> = {
    AGENTCOM_TASK_ID: request.taskId,
    AGENTCOM_TASK_FILE: request.taskFile,
    AGENTCOM_RESULTS_DIR: request.resultsDir,
    AGENTCOM_GENERATION: String(request.generation),
    AGENTCOM_AGENT_ID: request.agentId,
    AGENTCOM_RUN_ID: request.runId,
  };
  return { ...baseEnvironment(base), ...ofTask, ...traceVariables(request) };
}
