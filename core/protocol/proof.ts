/**
 * How hub and sidecar prove to each other that they know the same token, before either says anything that matters. The hub knows
 * only the token's SHA-256, the *key*; the sidecar makes the same key of the token. Each proof holds for one connection: the
 * random numbers of both sides are in it.
 */

/** HMAC-SHA-256 of the UTF-8 of `text`, keyed with the bytes that `key` tells; both in hexadecimal digits. */
export type Hmac = (key: string, text: string) => string;

/** What `hello` and `challenge` said, as both sides heard it. */
export interface Handshake {
  readonly agentId: string;
  readonly tokenHint: string;
  readonly nonce: string;
  readonly hubNonce: string;
}

/** How much of a token's SHA-256 `hello` tells, hexadecimal digits: it finds the token, and tells nothing of its 256 random bits. */
export const TOKEN_HINT_DIGITS = 16;
/** A token that is proved, characters. */
export const PROVED_TOKEN_MAX = 1_024;
/** What each HMAC begins with, so that none is taken for the other. */
const HUB_LABEL = 'agentcom hub v1';
const AGENT_LABEL = 'agentcom agent v1';
/** What one HMAC gives, hexadecimal digits. */
const HMAC_DIGITS = 64;

/** The lines that every HMAC of one exchange has in it. */
export const saidIn = ({ nonce, hubNonce, agentId, tokenHint }: Handshake): string => [nonce, hubNonce, agentId, tokenHint].join('\n');

/** The hub's proof that it knows the key of this token. */
export const hubProof = (key: string, said: Handshake, hmac: Hmac): string => hmac(key, `${HUB_LABEL}\n${saidIn(said)}`);

/** The sidecar's proof: the token, which is ASCII, under a key stream. Who has no key reads nothing in it but its length. */
export function sealedToken(token: string, key: string, said: Handshake, hmac: Hmac): string {
  return sealed(token, key, `${AGENT_LABEL}\n${saidIn(said)}`, hmac);
}

/** The token in a sidecar's proof; null when it is not the one of this key. */
export function unsealedToken(
  proof: string,
  key: string,
  said: Handshake,
  { sha256, hmac }: { readonly sha256: (text: string) => string; readonly hmac: Hmac },
): string | null {
  const token = unsealed(proof, key, `${AGENT_LABEL}\n${saidIn(said)}`, hmac);
  return isSameProof(sha256(token), key) ? token : null;
}

/** `text`, which is ASCII, under the key stream of `key` and these lines, in hexadecimal digits. */
export function sealed(text: string, key: string, lines: string, hmac: Hmac): string {
  return Array.from(keyStream(text.length, key, lines, hmac), (byte, place) => hex(byte ^ text.charCodeAt(place))).join('');
}

/** What `sealed` was given; under another key or other lines something else. */
export function unsealed(digits: string, key: string, lines: string, hmac: Hmac): string {
  const stream = keyStream(digits.length / 2, key, lines, hmac);
  return stream.map((byte, place) => String.fromCharCode(byte ^ byteAt(digits, place))).join('');
}

/** Whether both are the same, in a time that does not tell where they differ. */
export function isSameProof(found: string, wanted: string): boolean {
  let difference = found.length ^ wanted.length;
  for (let place = 0; place < wanted.length; place += 1) difference |= found.charCodeAt(place) ^ wanted.charCodeAt(place);
  return difference === 0;
}

function keyStream(bytes: number, key: string, lines: string, hmac: Hmac): number[] {
  let digits = '';
  for (let block = 0; digits.length < bytes * 2; block += 1) digits += hmac(key, `${lines}\n${block}`);
  return Array.from({ length: bytes }, (_, place) => byteAt(digits, place));
}

const byteAt = (digits: string, place: number): number => Number.parseInt(digits.slice(place * 2, place * 2 + 2), 16);
const hex = (byte: number): string => (byte & 0xff).toString(16).padStart(2, '0');

/** Patterns of the fields, for their schemas. */
export const TOKEN_HINT_PATTERN = `^[0-9a-f]{${TOKEN_HINT_DIGITS}}$`;
export const NONCE_PATTERN = '^[0-9a-f]{64}$';
export const HUB_PROOF_PATTERN = `^[0-9a-f]{${HMAC_DIGITS}}$`;
export const SEALED_TOKEN_PATTERN = `^([0-9a-f]{2}){1,${PROVED_TOKEN_MAX}}$`;
