/** The first message of an exchange in which a hub proves that it knows a secret. It reveals nothing about the secret. */
import { randomBytes } from 'node:crypto';
import { systemDigest } from '../adapters/ids-system/system-digest.ts';
import { TOKEN_HINT_DIGITS, type Handshake } from '../core/protocol/proof.ts';

const NONCE_BYTES = 32;

/** `key`: the secret's SHA-256, which the hub has, too. The hub's nonce comes with its answer. */
export function newHandshake(agentId: string, secret: string): { readonly key: string; readonly hello: Omit<Handshake, 'hubNonce'> } {
  const key = systemDigest().sha256(secret);
  return { key, hello: { agentId, tokenHint: key.slice(0, TOKEN_HINT_DIGITS), nonce: randomBytes(NONCE_BYTES).toString('hex') } };
}
