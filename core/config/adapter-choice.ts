/** Validates an adapter in the config: it must be an adapter, for the right port, with valid options. */
import { WAKE_RUNNER_CONTRACT } from '../ports/wake-runner.ts';
import { messageOf } from '../errors/agentcom-error.ts';
import type { AdapterChoice, ConfigProblem } from './config.ts';
import { describe, isRecord } from '../domain/describe-value.ts';

type AnyChoice = AdapterChoice<string, unknown, never>;

/** Every problem with `value`, which should be an adapter for `port`; `wanted` describes an example. */
export function adapterProblems(port: string, wanted: string, value: unknown, path: string): ConfigProblem[] {
  if (!isChoice(value)) return [{ path, message: `expected ${wanted}, found ${describe(value)}` }];
  if (value.port !== port) {
    return [{ path, message: `expected ${wanted}, found "${value.name}", which is a ${value.port} adapter, not a ${port} adapter` }];
  }
  const { contract } = isRecord(value.capabilities) ? value.capabilities : {};
  if (port === 'wake-runner' && typeof contract === 'number' && contract > WAKE_RUNNER_CONTRACT) {
    const found = `the wake runner "${value.name}" was built for version ${contract} of the contract, but this agentcom supports ${WAKE_RUNNER_CONTRACT}`;
    return [{ path, message: `${found}. Update agentcom, or use an older version of the runner.` }];
  }
  try {
    const problems: unknown = value.problems();
    if (Array.isArray(problems) && problems.every(isProblem))
      return problems.map((problem) => ({ path: joined(path, problem.path), message: problem.message }));
    // A rejection of what should not be a promise is not an unhandled one.
    if (problems instanceof Promise) void Promise.allSettled([problems]);
    const found = Array.isArray(problems) ? `a list with ${describe(problems.find((each) => !isProblem(each)))}` : describe(problems);
    return [
      { path, message: `the adapter "${value.name}" is invalid: expected a list of { path, message } from problems(), found ${found}` },
    ];
  } catch (thrown) {
    return [{ path, message: `the adapter "${value.name}" could not check its options: ${messageOf(thrown)}` }];
  }
}

function isChoice(value: unknown): value is AnyChoice {
  if (!isRecord(value)) return false;
  const { port, name, problems, create } = value;
  return typeof port === 'string' && typeof name === 'string' && typeof problems === 'function' && typeof create === 'function';
}

const isProblem = (value: unknown): value is ConfigProblem =>
  isRecord(value) && typeof value['path'] === 'string' && typeof value['message'] === 'string';

/** `problems` returns paths below the adapter: `file`, `argv[0]`, or an empty string. */
function joined(path: string, below: string): string {
  if (below === '') return path;
  return below.startsWith('[') ? `${path}${below}` : `${path}.${below}`;
}
