/** IDs, jitter and digests. Core gets randomness and hashing only from here, so that tests and the simulation can control them. */
import type { TaskId } from '../domain/ids.ts';

export interface Ids {
  /** A new task id. MUST be unique, and MUST sort after every id that this instance has created. */
  task(): TaskId;
  /** `prefix-` and 32 hexadecimal digits, made of at least 128 random bits. */
  random(prefix: string): string;
  /** A secret of 256 random bits, in characters that are safe in a header and in a file. */
  secret(): string;
  /** A random number from 0 (inclusive) to 1 (exclusive), for jitter. */
  jitter(): number;
}

export interface Digest {
  /** SHA-256 of `text` in UTF-8, as lowercase hexadecimal. */
  sha256(text: string): string;
  /** HMAC-SHA-256 of `text` in UTF-8, as lowercase hexadecimal. `key`: the bytes of the key in hexadecimal. */
  hmac(key: string, text: string): string;
  /**
   * Whether this Ed25519 signature (64 bytes) of `text` in UTF-8 was made with the private half of this public key (32 bytes); both in
   * base64url. MUST return false for an invalid key or signature.
   */
  isSignedBy(publicKey: string, text: string, signature: string): boolean;
}
