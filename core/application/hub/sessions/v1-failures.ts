/**
 * Version 1 has no field for the kind of a failure: its sidecar sends one of a few fixed phrases, or the text of its agent.
 * The phrases show whether the machine failed or the task did, which decides whether the machine is paused.
 */
import type { FailureKind } from '../../../protocol/sidecar-frames.ts';

/** Phrases that are the whole text. */
const PHRASES: Readonly<Record<string, FailureKind>> = {
  no_wake_command_configured: 'wake_failed',
  confirmation_timeout: 'confirmation_timeout',
  execution_timeout: 'execution_timeout',
};
/** Phrases that are followed by details. */
const PREFIXES: readonly (readonly [string, FailureKind])[] = [
  ['result_parse_error:', 'result_invalid'],
  ['execution_timeout_', 'execution_timeout'],
  ['Workspace setup failed ', 'wake_failed'],
];
const WAKE_FAILED = /^wake_failed_after_\d{1,4}_attempts$/;
/** No whole phrase is longer; a reason may be as long as a frame. */
const PHRASE_CHARACTERS_MAX = 64;

/** The kind of failure in the text of a version 1 sidecar; `agent_failed` for any other text. */
export function failureFromText(text: string): FailureKind {
  for (const [prefix, kind] of PREFIXES) if (text.startsWith(prefix)) return kind;
  if (text.length > PHRASE_CHARACTERS_MAX) return 'agent_failed';
  if (WAKE_FAILED.test(text)) return 'wake_failed';
  return Object.hasOwn(PHRASES, text) ? (PHRASES[text] ?? 'agent_failed') : 'agent_failed';
}
