/** Ids, jitter and digests: core must not take randomness or hashing from the platform itself. */
import type { TaskId } from '../domain/ids.ts';

export interface Ids {
  /** A new task id. MUST be unique, and MUST sort after every id this instance made before. */
  task(): TaskId;
  /** `prefix-` and 32 hexadecimal digits of 128 random bits or more. */
  random(prefix: string): string;
  /** A secret of 256 random bits, in letters that fit a header and a file. */
  secret(): string;
  /** A number from 0 up to, not including, 1, for jitter. */
  jitter(): number;
}

export interface Digest {
  /** SHA-256 of the UTF-8 of `text`, hexadecimal, lower case. */
  sha256(text: string): string;
  /** HMAC-SHA-256 of the UTF-8 of `text`, hexadecimal, lower case; `key` is the key's bytes in hexadecimal. */
  hmac(key: string, text: string): string;
}
