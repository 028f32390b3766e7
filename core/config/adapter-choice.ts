/** Whether what stands in a place for an adapter is one, of the right port, and content with its own options. */
import { WAKE_RUNNER_CONTRACT } from '../ports/wake-runner.ts';
import { messageOf } from '../errors/agentcom-error.ts';
import type { AdapterChoice, ConfigProblem } from './config.ts';
import { describe, isRecord } from './found-value.ts';

type AnyChoice = AdapterChoice<string, unknown, never>;

/** Every mistake of the adapter `value`, which should be one of `port`; `wanted` says by example what makes one. */
export function adapterProblems(port: string, wanted: string, value: unknown, path: string): ConfigProblem[] {
  if (!isChoice(value)) return [{ path, message: `wanted ${wanted}, found ${describe(value)}` }];
  if (value.port !== port) {
    return [{ path, message: `wanted ${wanted}, found "${value.name}", which is not a ${port} but a ${value.port} adapter` }];
  }
  const { contract } = isRecord(value.capabilities) ? value.capabilities : {};
  if (port === 'wake-runner' && typeof contract === 'number' && contract > WAKE_RUNNER_CONTRACT) {
    const found = `the wake runner "${value.name}" is made for version ${contract} of the contract, and this agentcom keeps ${WAKE_RUNNER_CONTRACT}`;
    return [{ path, message: `${found}. Update agentcom, or take an older version of the runner.` }];
  }
  try {
    return value.problems().map((problem) => ({ path: joined(path, problem.path), message: problem.message }));
  } catch (thrown) {
    return [{ path, message: `the adapter "${value.name}" could not check its options: ${messageOf(thrown)}` }];
  }
}

function isChoice(value: unknown): value is AnyChoice {
  if (!isRecord(value)) return false;
  const { port, name, problems, create } = value;
  return typeof port === 'string' && typeof name === 'string' && typeof problems === 'function' && typeof create === 'function';
}

/** `problems` names what follows the adapter's place: `file`, `argv[0]`, or nothing. */
function joined(path: string, below: string): string {
  if (below === '') return path;
  return below.startsWith('[') ? `${path}${below}` : `${path}.${below}`;
}
