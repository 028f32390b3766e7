/** Digests by node:crypto. */
import { createHash, createHmac } from 'node:crypto';
import type { Digest } from '../../core/ports/chance.ts';

/** The `Digest` of a running program, and, giving the same for the same text, of tests. */
export const systemDigest = (): Digest => ({
  sha256: (text) => createHash('sha256').update(text, 'utf8').digest('hex'),
  hmac: (key, text) => createHmac('sha256', Buffer.from(key, 'hex')).update(text, 'utf8').digest('hex'),
});
