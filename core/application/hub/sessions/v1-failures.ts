/**
 * Version 1 has no field for the kind of a failure: its sidecar says in a few fixed phrases what it was, and passes on its
 * agent's own words otherwise. The phrases say whether the machine failed or the task did, which decides whether the
 * machine is to be paused.
 */
import type { FailureKind } from '../../../protocol/sidecar-frames.ts';

/** What the field's sidecars say, whole. */
const PHRASES: Readonly<Record<string, FailureKind>> = {
  no_wake_command_configured: 'wake_failed',
  confirmation_timeout: 'confirmation_timeout',
  execution_timeout: 'execution_timeout',
};
/** What they say before details of their own. */
const BEGINNINGS: readonly (readonly [string, FailureKind])[] = [
  ['result_parse_error:', 'result_invalid'],
  ['execution_timeout_', 'execution_timeout'],
  ['Workspace setup failed ', 'wake_failed'],
];
const WAKE_FAILED = /^wake_failed_after_\d{1,4}_attempts$/;
/** No phrase that is matched whole is longer; a reason may be as long as a frame. */
const PHRASE_CHARACTERS_MAX = 64;

/** The kind of failure that these words of a version 1 sidecar name; `agent_failed` for any others. */
export function failureInWords(said: string): FailureKind {
  for (const [beginning, kind] of BEGINNINGS) if (said.startsWith(beginning)) return kind;
  if (said.length > PHRASE_CHARACTERS_MAX) return 'agent_failed';
  if (WAKE_FAILED.test(said)) return 'wake_failed';
  return Object.hasOwn(PHRASES, said) ? (PHRASES[said] ?? 'agent_failed') : 'agent_failed';
}
