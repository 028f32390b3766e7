/** What a person can do about a failure: a sentence for each kind, where its runner knows nothing better. */
import type { FailureCause } from '../../../core/ports/wake-runner.ts';

export type Cures = Readonly<Record<FailureCause, string>>;

export const CURES: Cures = {
  auth: 'Log in to it there, or give the sidecar its key.',
  config: 'Correct the options of the runner, or the settings of the program or of its account.',
  rate_limited: 'It gets no work until that is over, and nothing must be done; if it comes often, raise its allowance.',
  model_unavailable:
    'It is tried again by itself, ever more rarely; if that does not help, see whether its service can be reached from there.',
  limit: 'Raise the limit, or make the task smaller.',
  denied: 'Allow it in the options of the runner, or in the settings of the program.',
  no_result: 'It is tried again by itself; if that does not help, run the program there by hand.',
  unresponsive: 'See there what it waits for; if it works that long without a word, raise idleMs or startWithinMs.',
  agent_failed: 'If what it says is not enough, run the program there by hand.',
};

/** Where `details.reason` says more than the kind. */
const CURES_BY_REASON: ReadonlyMap<unknown, string> = new Map([
  ['line_too_long', 'Raise maxLineBytes, or have the agent write long texts to a file and name it.'],
  ['nothing_said', 'See there what it has done before you give the task again.'],
]);

/** The message with what can be done about it. */
export function withCure(message: string, kind: FailureCause = 'agent_failed', cures: Partial<Cures> = {}, reason?: unknown): string {
  const cure = CURES_BY_REASON.get(reason) ?? cures[kind] ?? CURES[kind];
  return `${message}${/[.?!]$/.test(message) ? '' : '.'} ${cure}`;
}
