/** Signatures of tasks, verified with jose by the keys in `sidecar.accept.signedBy`. */
import { decodeProtectedHeader, errors, jwtVerify, type JWTVerifyResult } from 'jose';
import type { TrustedKeyConfig } from '../../core/config/accept.ts';
import type { TaskSignatures, Verified } from '../../core/ports/trust/task-signatures.ts';
import { SIGNATURE_ALGORITHM, SIGNATURE_CLOCK_MS, SIGNATURE_TYPE } from '../../core/protocol/signed/task-claims.ts';
import { trustedKey, type TrustedKey } from './key-files.ts';
import { nonceMemory } from './nonce-memory.ts';

export interface TrustedSignaturesOptions {
  readonly signedBy: readonly TrustedKeyConfig[];
  /** Where nonces are remembered; null: as long as the process lives. */
  readonly nonceFile: string | null;
}

export function trustedSignatures({ signedBy, nonceFile }: TrustedSignaturesOptions): TaskSignatures {
  const keys = new Map<string, TrustedKey>();
  const nonces = nonceMemory(nonceFile);

  async function open(): Promise<void> {
    for (const [place, config] of signedBy.entries()) {
      const key = await trustedKey(config, `sidecar.accept.signedBy[${place}]`);
      keys.set(key.kid, key);
    }
    await nonces.open();
  }

  async function verify(signature: string, nowMs: number): Promise<Verified> {
    try {
      const { kid, alg } = decodeProtectedHeader(signature);
      // Checked before a key is chosen: we decide the algorithm, not the signature.
      if (alg !== SIGNATURE_ALGORITHM) return invalid(`is signed with another algorithm than ${SIGNATURE_ALGORITHM}`);
      const key = keys.get(String(kid));
      if (key === undefined) return invalid('is signed by a key that this sidecar does not trust');
      if (key.notAfterMs !== null && nowMs > key.notAfterMs)
        return invalid(`is signed by the key "${key.name}", which has expired (notAfter)`);
      const { payload } = await verified(signature, key, nowMs);
      return { kind: 'valid', signer: key.name, claims: payload };
    } catch (thrown) {
      return invalid(reasonOf(thrown));
    }
  }

  return { open, verify, remember: nonces.remember, close: nonces.close };
}

const verified = (signature: string, { key }: TrustedKey, nowMs: number): Promise<JWTVerifyResult> =>
  jwtVerify(signature, key, {
    algorithms: [SIGNATURE_ALGORITHM],
    typ: SIGNATURE_TYPE,
    requiredClaims: ['iat', 'exp', 'jti'],
    currentDate: new Date(nowMs),
    clockTolerance: SIGNATURE_CLOCK_MS / 1_000,
  });

const invalid = (reason: string): Verified => ({ kind: 'invalid', reason });

function reasonOf(thrown: unknown): string {
  if (thrown instanceof errors.JWTExpired)
    return `has a signature that expired at ${timeText(thrown.payload.exp)}; sign and submit it again`;
  if (thrown instanceof errors.JWTClaimValidationFailed && thrown.claim === 'nbf')
    return `is signed for ${timeText(thrown.payload.nbf)} or later (run_at)`;
  if (thrown instanceof errors.JWSSignatureVerificationFailed) return 'has a signature that does not match its key';
  if (thrown instanceof errors.JOSEError) return `has a signature that cannot be used: ${thrown.message}`;
  return 'has a signature that cannot be read';
}

const timeText = (seconds: number | undefined): string => {
  const time = new Date((seconds ?? 0) * 1_000);
  return Number.isNaN(time.getTime()) ? String(seconds) : time.toISOString();
};
