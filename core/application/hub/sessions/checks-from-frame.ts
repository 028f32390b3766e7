/** From the checks in a frame to the checks that the hub stores. */
import { wellFormed } from '../../../domain/encoded-text.ts';
import type { NamedCheck } from '../../../domain/agent/agent.ts';
import type { ChecksFrame } from '../../../protocol/sidecar-frames.ts';
import type { ReportedChecks } from '../batch/commands.ts';

/** A frame with `ok: false` and no failed check still fails: the agent gets no tasks. */
export function checksFromFrame({ ok, failed = [], passed }: ChecksFrame): ReportedChecks {
  const unnamed: NamedCheck = { check: 'runner', message: 'its checks failed; it did not say which' };
  return { failed: ok ? [] : (failed.length === 0 ? [unnamed] : failed).map(clean), passed: passed?.map(clean) ?? null };
}

const clean = ({ check, message }: NamedCheck): NamedCheck => ({ check: wellFormed(check), message: wellFormed(message) });
