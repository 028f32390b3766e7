/** Problems with the configured environment. */
import { TASK_VARIABLES, type ConfigProblem } from '../plugin.ts';

/** The sidecar removes these from its environment at startup; with its token, an agent could act as its sidecar. */
const SIDECAR_VARIABLES: ReadonlySet<string> = new Set(['AGENTCOM_TOKEN', 'AGENTCOM_ENROL_SECRET', 'AGENTCOM_ADMIN_TOKEN']);
const FOR_THE_SIDECAR =
  'is for the sidecar alone; give the agent a token of its own (agentcom tokens create) in a variable of another name';

export function environmentProblems(options: {
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly passEnv?: readonly string[] | undefined;
}): readonly ConfigProblem[] {
  const { env = {}, passEnv = [] } = options;
  const ofValues = Object.entries(env).flatMap(([name, value]) => {
    const path = `env.${name}`;
    return [...nameProblems(path, name), ...(value.includes('\0') ? [{ path, message: 'must not have a NUL character (U+0000)' }] : [])];
  });
  const ofNames = passEnv.flatMap((name, index) => {
    const path = `passEnv[${String(index)}]`;
    return SIDECAR_VARIABLES.has(name) ? [{ path, message: FOR_THE_SIDECAR }] : nameProblems(path, name);
  });
  return [...ofValues, ...ofNames];
}

function nameProblems(path: string, name: string): readonly ConfigProblem[] {
  if (!/^[^=\0]+$/.test(name)) return [{ path, message: 'must be named without "=" and NUL, and not be empty' }];
  if ((TASK_VARIABLES as readonly string[]).includes(name))
    return [{ path, message: 'is set by the sidecar for each run; choose another name' }];
  return [];
}
