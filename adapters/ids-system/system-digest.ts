/** Digests by node:crypto. */
import { createHmac, createPublicKey, hash, verify } from 'node:crypto';
import type { Digest } from '../../core/ports/chance.ts';

/** The `Digest` of a running program. It is deterministic, so tests use it, too. */
export const systemDigest = (): Digest => ({
  sha256: (text) => hash('sha256', text, 'hex'),
  hmac: (key, text) => createHmac('sha256', Buffer.from(key, 'hex')).update(text, 'utf8').digest('hex'),
  isSignedBy(publicKey, text, signature) {
    try {
      const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
      return verify(null, Buffer.from(text, 'utf8'), key, Buffer.from(signature, 'base64url'));
    } catch {
      return false; // No key of this kind.
    }
  },
});
