/**
 * How a hub and an enrolling sidecar prove to each other that they know the same enrollment secret, as with `hello` (proof.ts). The *key*
 * is the secret's SHA-256, which is all that the hub stores. The hub proves itself first; then the sealed secret goes to it, and the sealed
 * token back. The hub keeps no state between the two calls: the sidecar's nonce is new for each exchange, and a secret works once.
 */
import { isSameProof, transcript, sealed, unsealed, type Handshake, type Hmac } from './proof.ts';

/** Prefix of each HMAC, so that none can pass for another, nor for one of `hello`. */
const HUB_LABEL = 'agentcom enrol hub v1';
const SECRET_LABEL = 'agentcom enrol secret v1';
const TOKEN_LABEL = 'agentcom enrol token v1';
const GIVEN_LABEL = 'agentcom enrol given v1';

/** The token in the hub's answer. Without the key, no `proof` can be made for a modified one. */
export interface SealedToken {
  readonly sealed_token: string;
  readonly proof: string;
}

/** The hub's proof that it knows the key of this secret. */
export const enrolHubProof = (key: string, handshake: Handshake, hmac: Hmac): string => hmac(key, `${HUB_LABEL}\n${transcript(handshake)}`);

/** The sidecar's proof: the secret, which is ASCII. */
export const sealedSecret = (secret: string, key: string, handshake: Handshake, hmac: Hmac): string =>
  sealed(secret, key, `${SECRET_LABEL}\n${transcript(handshake)}`, hmac);

/** Whether this is the secret of the key, sealed in this exchange. */
export const isSealedSecret = (
  digits: string,
  key: string,
  handshake: Handshake,
  { sha256, hmac }: { readonly sha256: (text: string) => string; readonly hmac: Hmac },
): boolean => isSameProof(sha256(unsealed(digits, key, `${SECRET_LABEL}\n${transcript(handshake)}`, hmac)), key);

export const sealedEnrolToken = (token: string, key: string, handshake: Handshake, hmac: Hmac): SealedToken => ({
  sealed_token: sealed(token, key, `${TOKEN_LABEL}\n${transcript(handshake)}`, hmac),
  proof: givenProof(token, key, handshake, hmac),
});

/** The token in the hub's answer; null unless a hub that knows the secret made it in this exchange. */
export function unsealedEnrolToken(
  { sealed_token: digits, proof }: SealedToken,
  key: string,
  handshake: Handshake,
  hmac: Hmac,
): string | null {
  const token = unsealed(digits, key, `${TOKEN_LABEL}\n${transcript(handshake)}`, hmac);
  return isSameProof(proof, givenProof(token, key, handshake, hmac)) ? token : null;
}

const givenProof = (token: string, key: string, handshake: Handshake, hmac: Hmac): string =>
  hmac(key, `${GIVEN_LABEL}\n${transcript(handshake)}\n${token}`);
