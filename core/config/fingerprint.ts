/** The fingerprint of a hub's public key, by which it is recognized without a certificate authority, and codes that carry it. */

/** SHA-256 of the key (SubjectPublicKeyInfo in DER), in base64. */
export const FINGERPRINT_PATTERN = '^sha256/[A-Za-z0-9+/]{43}=$';
export const FINGERPRINT_WANTED = 'a fingerprint such as sha256/ and 44 characters of base64, as `agentcom tls fingerprint` prints it';
/** Keys that a fleet's hubs may have at one time: one each, and one more while it is replaced. */
export const FINGERPRINTS_MAX = 64;

const FINGERPRINT = new RegExp(FINGERPRINT_PATTERN);

export const isFingerprint = (text: string): boolean => FINGERPRINT.test(text);

/** Fingerprints with commas or blanks between them; null if one of them is none. */
export function readFingerprints(text: string): readonly string[] | null {
  const found = text.split(/[\s,]+/).filter((part) => part !== '');
  return found.length > 0 && found.length <= FINGERPRINTS_MAX && found.every(isFingerprint) ? found : null;
}

export interface JoinCode {
  readonly secret: string;
  /** Of the hub; null if its certificate is checked instead. */
  readonly fingerprint: string | null;
}

/** What a new machine is given to join with: an enrolment secret, and the fingerprint of the hub if it has one. */
export const joinCode = ({ secret, fingerprint }: JoinCode): string => (fingerprint === null ? secret : `${secret}.${fingerprint}`);

/** The parts of a code; null if what follows the secret is no fingerprint. */
export function readJoinCode(code: string): JoinCode | null {
  const dot = code.indexOf('.');
  if (dot === -1) return { secret: code, fingerprint: null };
  const fingerprint = code.slice(dot + 1);
  return dot > 0 && isFingerprint(fingerprint) ? { secret: code.slice(0, dot), fingerprint } : null;
}
