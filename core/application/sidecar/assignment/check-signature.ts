/** Whether a task that the hub offers is what a trusted submitter signed, for this sidecar. */
import { messageOf } from '../../../errors/agentcom-error.ts';
import type { NonceAnswer, TaskSignatures } from '../../../ports/trust/task-signatures.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import { claimsRefusal, contentText, readClaims } from '../../../protocol/signed/task-claims.ts';
import type { SidecarSettings } from '../state/state.ts';
import type { SignatureVerdict } from '../state/inputs.ts';

type Self = Pick<SidecarSettings, 'agentId' | 'capabilities' | 'audiences' | 'sha256'>;

/** Never throws. The nonce is remembered last, so that only a task that is to be run uses it up. */
export async function checkSignature(
  frame: HubFrameOf<'task_assign'>,
  signatures: TaskSignatures,
  self: Self,
  nowMs: number,
): Promise<SignatureVerdict> {
  try {
    return await verdictOn(frame, signatures, self, nowMs);
  } catch (thrown) {
    return { kind: 'unknown', reason: `the signature of the task cannot be checked: ${messageOf(thrown)}` };
  }
}

async function verdictOn(
  frame: HubFrameOf<'task_assign'>,
  signatures: TaskSignatures,
  self: Self,
  nowMs: number,
): Promise<SignatureVerdict> {
  const { signature } = frame;
  if (signature === undefined || signature === null) return untrusted('is not signed');
  const verified = await signatures.verify(signature, nowMs);
  if (verified.kind === 'invalid') return untrusted(verified.reason);
  const claims = readClaims(verified.claims);
  if (claims === null) return untrusted('has a signature with claims that this version does not know; update the sidecar');
  const offer = {
    contentSha256: self.sha256(contentText(frame)),
    runMaxMs: frame.run_max_ms ?? null,
    completeByMs: frame.complete_by ?? null,
  };
  const refusal = claimsRefusal(claims, offer, self, nowMs);
  if (refusal !== null) return untrusted(refusal);
  const use = { nonce: claims.jti, taskId: frame.task_id, issuedAtMs: claims.iat * 1_000, expiresAtMs: claims.exp * 1_000 };
  const answer = await signatures.remember(use, nowMs);
  return answer === 'remembered' ? { kind: 'trusted', signer: verified.signer } : untrusted(REPLAYS[answer]);
}

const REPLAYS: Readonly<Record<Exclude<NonceAnswer, 'remembered'>, string>> = {
  other_task: 'has the signature of another task: each signature is valid for one task',
  forgotten: 'was signed before the signatures that this sidecar still remembers; sign and submit it again',
};

const untrusted = (what: string): SignatureVerdict => ({ kind: 'untrusted', reason: `the task ${what} (accept.signedBy)` });
