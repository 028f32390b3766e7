/**
 * How a hub and a sidecar that enrols prove to each other that they know the same enrolment secret, as for `hello` (proof.ts). The *key*
 * is the secret's SHA-256, which is all that the hub keeps. The hub proves first; then the secret goes sealed to it, and the token back.
 * The hub keeps nothing between the two calls: the sidecar's nonce is new for each exchange, and a secret is good once.
 */
import { isSameProof, saidIn, sealed, unsealed, type Handshake, type Hmac } from './proof.ts';

/** What each HMAC begins with, so that none is taken for another, nor for one of `hello`. */
const HUB_LABEL = 'agentcom enrol hub v1';
const SECRET_LABEL = 'agentcom enrol secret v1';
const TOKEN_LABEL = 'agentcom enrol token v1';
const GIVEN_LABEL = 'agentcom enrol given v1';

/** How the token stands in the hub's answer: who changes a digit on the line, or has no key, makes no `proof` for it. */
export interface SealedToken {
  readonly sealed_token: string;
  readonly proof: string;
}

/** The hub's proof that it knows the key of this secret. */
export const enrolHubProof = (key: string, said: Handshake, hmac: Hmac): string => hmac(key, `${HUB_LABEL}\n${saidIn(said)}`);

/** The sidecar's proof: the secret, which is ASCII. */
export const sealedSecret = (secret: string, key: string, said: Handshake, hmac: Hmac): string =>
  sealed(secret, key, `${SECRET_LABEL}\n${saidIn(said)}`, hmac);

/** Whether this is the secret of the key, sealed in this exchange. */
export const isSealedSecret = (
  digits: string,
  key: string,
  said: Handshake,
  { sha256, hmac }: { readonly sha256: (text: string) => string; readonly hmac: Hmac },
): boolean => isSameProof(sha256(unsealed(digits, key, `${SECRET_LABEL}\n${saidIn(said)}`, hmac)), key);

export const sealedEnrolToken = (token: string, key: string, said: Handshake, hmac: Hmac): SealedToken => ({
  sealed_token: sealed(token, key, `${TOKEN_LABEL}\n${saidIn(said)}`, hmac),
  proof: givenProof(token, key, said, hmac),
});

/** The token in the hub's answer; null when the hub that knows the secret did not make it in this exchange. */
export function unsealedEnrolToken({ sealed_token: digits, proof }: SealedToken, key: string, said: Handshake, hmac: Hmac): string | null {
  const token = unsealed(digits, key, `${TOKEN_LABEL}\n${saidIn(said)}`, hmac);
  return isSameProof(proof, givenProof(token, key, said, hmac)) ? token : null;
}

const givenProof = (token: string, key: string, said: Handshake, hmac: Hmac): string =>
  hmac(key, `${GIVEN_LABEL}\n${saidIn(said)}\n${token}`);
