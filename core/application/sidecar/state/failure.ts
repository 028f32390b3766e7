/** Why an attempt has no result. */
import type { FailureKind } from '../../../protocol/sidecar-frames.ts';

export interface Failure {
  readonly kind: FailureKind;
  readonly error: string;
  readonly retryable?: boolean | undefined;
  /** Why, as far as its runner can tell, and how long trying again here is of no use. */
  readonly cause?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** Its result file says more than its report. */
  readonly keepFiles?: boolean | undefined;
  /** And so do the streams of its run. */
  readonly keepStreams?: boolean | undefined;
}
