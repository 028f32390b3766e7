/** The signatures of tasks, judged by the keys that a sidecar trusts. */
import type { TaskId } from '../../domain/ids.ts';

/** What is known of a signature: whose it is and what was signed, or why it does not count. */
export type Verified =
  | {
      readonly kind: 'valid';
      /** The name of the key in the config. */
      readonly signer: string;
      /** The payload, parsed and otherwise unchecked. */
      readonly claims: unknown;
    }
  /** `reason` continues a sentence that begins with the task. */
  | { readonly kind: 'invalid'; readonly reason: string };

/** A nonce that a sidecar is about to run a task under. */
export interface NonceUse {
  readonly nonce: string;
  readonly taskId: TaskId;
  /** When it was signed, and until when it is valid; milliseconds since 1970. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * `remembered`: of this task, from now on or already. `other_task`: it was used for another task. `forgotten`: it was signed before what is
 * still remembered, so it may have been.
 */
export type NonceAnswer = 'remembered' | 'other_task' | 'forgotten';

export interface TaskSignatures {
  /** Reads the keys and what is remembered. Rejects with `AC_CONFIG_INVALID` for a key that cannot be used. */
  open(): Promise<void>;
  /**
   * MUST accept nothing but a JWS of `SIGNATURE_ALGORITHM` and `SIGNATURE_TYPE` by one of its keys, of which neither the signature nor the
   * key has expired at `nowMs`. MUST NOT throw for any text.
   */
  verify(signature: string, nowMs: number): Promise<Verified>;
  /** MUST resolve to `remembered` only once that outlives the process, unless nothing of the sidecar does. Rejects if it cannot be written. */
  remember(use: NonceUse, nowMs: number): Promise<NonceAnswer>;
  close(): Promise<void>;
}
