/** What is wrong with the environment of the config. */
import { TASK_VARIABLES, type ConfigProblem } from '../plugin.ts';

export function environmentProblems(options: {
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly passEnv?: readonly string[] | undefined;
}): readonly ConfigProblem[] {
  const { env = {}, passEnv = [] } = options;
  const ofValues = Object.entries(env).flatMap(([name, value]) => {
    const path = `env.${name}`;
    return [...nameProblems(path, name), ...(value.includes('\0') ? [{ path, message: 'must not have a NUL character (U+0000)' }] : [])];
  });
  return [...ofValues, ...passEnv.flatMap((name, index) => nameProblems(`passEnv[${String(index)}]`, name))];
}

function nameProblems(path: string, name: string): readonly ConfigProblem[] {
  if (!/^[^=\0]+$/.test(name)) return [{ path, message: 'must be named without "=" and NUL, and not be empty' }];
  if ((TASK_VARIABLES as readonly string[]).includes(name))
    return [{ path, message: 'is set by the sidecar for each run; choose another name' }];
  return [];
}
