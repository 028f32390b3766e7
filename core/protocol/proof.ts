/**
 * How hub and sidecar prove to each other that they know the same token, before either sends anything that matters. The hub knows
 * only the token's SHA-256, the *key*; the sidecar computes the same key from the token. Each proof is valid for one connection,
 * because it covers the nonces of both sides.
 */

/** HMAC-SHA-256 of `text` in UTF-8, keyed with the bytes of `key`; both in hexadecimal. */
export type Hmac = (key: string, text: string) => string;

/** The contents of `hello` and `challenge`, as both sides know them. */
export interface Handshake {
  readonly agentId: string;
  readonly tokenHint: string;
  readonly nonce: string;
  readonly hubNonce: string;
}

/** Hexadecimal digits of a token's SHA-256 in `hello`: enough to find the token, and useless for guessing its 256 random bits. */
export const TOKEN_HINT_DIGITS = 16;
/** The longest token that can be proved, characters. */
const PROVED_TOKEN_MAX = 1_024;
/** Prefix of each HMAC, so that neither can pass for the other. */
const HUB_LABEL = 'agentcom hub v1';
const AGENT_LABEL = 'agentcom agent v1';
const DEVICE_LABEL = 'agentcom device v1';
/** Length of an HMAC, hexadecimal digits. */
const HMAC_DIGITS = 64;

/** The lines that every HMAC of one exchange covers. */
export const transcript = ({ nonce, hubNonce, agentId, tokenHint }: Handshake): string => [nonce, hubNonce, agentId, tokenHint].join('\n');

/** The hub's proof that it knows the key of this token. */
export const hubProof = (key: string, handshake: Handshake, hmac: Hmac): string => hmac(key, `${HUB_LABEL}\n${transcript(handshake)}`);

/** What a sidecar signs with the key of its machine. */
export const deviceText = (handshake: Handshake): string => `${DEVICE_LABEL}\n${transcript(handshake)}`;

/** The sidecar's proof: the token, which is ASCII, XORed with a key stream. Without the key it reveals only the token's length. */
export function sealedToken(token: string, key: string, handshake: Handshake, hmac: Hmac): string {
  return sealed(token, key, `${AGENT_LABEL}\n${transcript(handshake)}`, hmac);
}

/** The token in a sidecar's proof; null if it does not belong to this key. */
export function unsealedToken(
  proof: string,
  key: string,
  handshake: Handshake,
  { sha256, hmac }: { readonly sha256: (text: string) => string; readonly hmac: Hmac },
): string | null {
  const token = unsealed(proof, key, `${AGENT_LABEL}\n${transcript(handshake)}`, hmac);
  return isSameProof(sha256(token), key) ? token : null;
}

/** `text`, which is ASCII, XORed with the key stream of `key` and these lines, in hexadecimal. */
export function sealed(text: string, key: string, lines: string, hmac: Hmac): string {
  return Array.from(keyStream(text.length, key, lines, hmac), (byte, place) => hex(byte ^ text.charCodeAt(place))).join('');
}

/** Reverses `sealed`; with another key or other lines the result is garbage. */
export function unsealed(digits: string, key: string, lines: string, hmac: Hmac): string {
  const stream = keyStream(digits.length / 2, key, lines, hmac);
  return stream.map((byte, place) => String.fromCharCode(byte ^ byteAt(digits, place))).join('');
}

/** Compares in constant time. */
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
/** Base64url without padding. */
export const DEVICE_KEY_PATTERN = '^[A-Za-z0-9_-]{43}$';
export const DEVICE_PROOF_PATTERN = '^[A-Za-z0-9_-]{86}$';
export const SEALED_TOKEN_PATTERN = `^([0-9a-f]{2}){1,${PROVED_TOKEN_MAX}}$`;
