/** Digests by node:crypto. */
import { createHmac, hash } from 'node:crypto';
import type { Digest } from '../../core/ports/chance.ts';

/** The `Digest` of a running program, and, giving the same for the same text, of tests. */
export const systemDigest = (): Digest => ({
  sha256: (text) => hash('sha256', text, 'hex'),
  hmac: (key, text) => createHmac('sha256', Buffer.from(key, 'hex')).update(text, 'utf8').digest('hex'),
});
