/** How to fix a failure: one sentence per kind, unless its runner has a better one. */
import type { FailureCause } from '../../../core/ports/wake-runner.ts';

/** What an operator can do about each kind of failure, one sentence each. */
export type Hints = Readonly<Record<FailureCause, string>>;

/** The message before the hint names the machine. */
export const HINTS: Hints = {
  auth: 'Log in to the program on that machine, or set its API key for the sidecar.',
  config: 'Fix the runner options, or the settings of the program or its account.',
  rate_limited: 'The agent gets no work until the limit resets, and nothing needs to be done; if this happens often, raise the quota.',
  model_unavailable:
    'It is retried automatically with backoff; if that does not help, check whether that machine can reach the service of the model.',
  limit: 'Raise the limit, or make the task smaller.',
  denied: 'Allow it in the runner options, or in the settings of the program.',
  no_result: 'It is retried automatically; if that does not help, run the program by hand on that machine.',
  unresponsive: 'Check what the program is waiting for; if it works that long without output, raise idleMs or startWithinMs.',
  agent_failed: 'If the message is not enough, run the program by hand on that machine.',
};

/** For reasons (`details.reason`) that say more than the kind. */
const HINTS_BY_REASON: ReadonlyMap<unknown, string> = new Map([
  ['line_too_long', 'Raise maxLineBytes, or have the agent write long texts to a file and name it.'],
  ['nothing_said', 'Check what it has done on that machine before you retry the task.'],
]);

/** Appends the hint to the message. */
export function withHint(message: string, kind: FailureCause = 'agent_failed', hints: Partial<Hints> = {}, reason?: unknown): string {
  const hint = HINTS_BY_REASON.get(reason) ?? hints[kind] ?? HINTS[kind];
  return `${message}${/[.?!]$/.test(message) ? '' : '.'} ${hint}`;
}
