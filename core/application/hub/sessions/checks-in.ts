/** From what a sidecar says of its checks to what the hub keeps. */
import { wellFormed } from '../../../domain/encoded-text.ts';
import type { NamedCheck } from '../../../domain/agent/agent.ts';
import type { ChecksFrame } from '../../../protocol/sidecar-frames.ts';
import type { SaidChecks } from '../batch/commands.ts';

/** One that is not well without saying what fails still may get nothing. */
export function checksIn({ ok, failed = [], passed = [] }: ChecksFrame): SaidChecks {
  const unsaid: NamedCheck = { check: 'runner', message: 'its checks fail; it does not say which' };
  return { failed: ok ? [] : (failed.length === 0 ? [unsaid] : failed).map(clean), passed: passed.map(clean) };
}

const clean = ({ check, message }: NamedCheck): NamedCheck => ({ check: wellFormed(check), message: wellFormed(message) });
