/**
 * The cookie of a person who signed in to the dashboard. It holds the digest of their token and the end of the session, encrypted and
 * authenticated with a key of the hub: nothing is stored for a session, a restart of the hub ends none, and a token that is revoked ends
 * all of its sessions at once. The token itself is never in it, because a browser sends cookies to every port of a host.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** How long a session lasts, milliseconds. */
export const SESSION_MS = 43_200_000;

export interface Session {
  /** SHA-256 of the token, hexadecimal. */
  readonly tokenHash: string;
  readonly expiresAtMs: number;
}

export interface SessionCookies {
  /** Different for each key, so that two hubs on one host do not overwrite each other's cookies. */
  readonly name: string;
  /** The value of the cookie. */
  seal(session: Session): string;
  /** The session in a `cookie` header; null if there is none that this hub made, or it has ended. */
  open(header: string | undefined, nowMs: number): Session | null;
}

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HASH_BYTES = 32;
const TIME_BYTES = 8;
const VALUE_BYTES = NONCE_BYTES + HASH_BYTES + TIME_BYTES + TAG_BYTES;
const NAME_CHARACTERS = 8;
/** How many cookies of this name are tried: a page on another port may have set more, to hide ours. */
const TRIED_MAX = 4;
const HEADER_CHARACTERS_MAX = 16_384;

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

export function sessionCookies(secret: string): SessionCookies {
  const key = digestOf(`session key of agentcom\n${secret}`);
  const name = `agentcom_${digestOf(`session name of agentcom\n${secret}`).toString('hex').slice(0, NAME_CHARACTERS)}`;

  const opened = (value: string): Session | null => {
    const bytes = Buffer.from(value, 'base64url');
    if (bytes.length !== VALUE_BYTES) return null;
    const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(bytes.subarray(VALUE_BYTES - TAG_BYTES));
    const text = decipher.update(bytes.subarray(NONCE_BYTES, VALUE_BYTES - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      return null;
    }
    return { tokenHash: text.toString('hex', 0, HASH_BYTES), expiresAtMs: Number(text.readBigUInt64BE(HASH_BYTES)) };
  };

  return {
    name,
    seal({ tokenHash, expiresAtMs }) {
      const nonce = randomBytes(NONCE_BYTES);
      const text = Buffer.alloc(HASH_BYTES + TIME_BYTES);
      text.write(tokenHash, 'hex');
      text.writeBigUInt64BE(BigInt(expiresAtMs), HASH_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
      return Buffer.concat([nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]).toString('base64url');
    },
    open(header, nowMs) {
      if (header === undefined || header.length > HEADER_CHARACTERS_MAX) return null;
      const prefix = `${name}=`;
      const values = header.split(/[;,] */).filter((pair) => pair.startsWith(prefix));
      for (const value of values.slice(0, TRIED_MAX)) {
        const session = opened(value.slice(prefix.length));
        if (session !== null && session.expiresAtMs > nowMs) return session;
      }
      return null;
    },
  };
}
