/** The fingerprint of a hub's public key, which authenticates the hub without a certificate authority, and codes that contain it. */

/** SHA-256 of the key (SubjectPublicKeyInfo in DER), in base64. */
export const FINGERPRINT_PATTERN = '^sha256/[A-Za-z0-9+/]{43}=$';
export const FINGERPRINT_WANTED = 'a fingerprint such as sha256/ and 44 characters of base64, as `agentcom tls fingerprint` prints it';
/** How many keys the hubs of a fleet may have at a time: one each, and one more while it is being replaced. */
export const FINGERPRINTS_MAX = 64;

const FINGERPRINT = new RegExp(FINGERPRINT_PATTERN);

const isFingerprint = (text: string): boolean => FINGERPRINT.test(text);

/** Fingerprints separated by commas or whitespace; null if one is invalid, or if there are none or too many. */
export function readFingerprints(text: string): readonly string[] | null {
  const found = text.split(/[\s,]+/).filter((part) => part !== '');
  return found.length > 0 && found.length <= FINGERPRINTS_MAX && found.every(isFingerprint) ? found : null;
}

export interface JoinCode {
  readonly secret: string;
  /** Of the hub; null if its certificate is checked instead. */
  readonly fingerprint: string | null;
}

/** The code with which a new machine joins: an enrollment secret, and the fingerprint of the hub if it has one. */
export const joinCode = ({ secret, fingerprint }: JoinCode): string => (fingerprint === null ? secret : `${secret}.${fingerprint}`);

/** The parts of a code; null if what follows the secret is not a fingerprint. */
export function readJoinCode(code: string): JoinCode | null {
  const dot = code.indexOf('.');
  if (dot === -1) return { secret: code, fingerprint: null };
  const fingerprint = code.slice(dot + 1);
  return dot > 0 && isFingerprint(fingerprint) ? { secret: code.slice(0, dot), fingerprint } : null;
}
