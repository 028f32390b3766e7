/** The signatures of tasks, verified with the keys that a sidecar trusts. */
import type { TaskId } from '../../domain/ids.ts';

/** The result of verifying a signature: who signed and what was signed, or why it is not valid. */
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

/** The nonce of a signed task that a sidecar is about to run. */
export interface NonceUse {
  readonly nonce: string;
  readonly taskId: TaskId;
  /** When it was signed, and until when it is valid; milliseconds since 1970. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * `remembered`: for this task, from now on or already. `other_task`: it was used for another task. `forgotten`: it was signed before the
 * period that is still remembered, so it may have been used for another task.
 */
export type NonceAnswer = 'remembered' | 'other_task' | 'forgotten';

export interface TaskSignatures {
  /** Reads the keys and the remembered nonces. Rejects with `AC_CONFIG_INVALID` for a key that cannot be used. */
  open(): Promise<void>;
  /**
   * MUST accept nothing but a JWS of `SIGNATURE_ALGORITHM` and `SIGNATURE_TYPE` by one of its keys, if neither the signature nor the key has
   * expired at `nowMs`. MUST NOT throw for any text.
   */
  verify(signature: string, nowMs: number): Promise<Verified>;
  /** MUST resolve to `remembered` only once that outlives the process, unless no state of the sidecar does. Rejects if it cannot be written. */
  remember(use: NonceUse, nowMs: number): Promise<NonceAnswer>;
  close(): Promise<void>;
}
