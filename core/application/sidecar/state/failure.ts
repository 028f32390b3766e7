/** Why an attempt has no result. */
import type { FailureKind } from '../../../protocol/sidecar-frames.ts';

export interface Failure {
  readonly kind: FailureKind;
  readonly error: string;
  readonly retryable?: boolean | undefined;
  /** The cause, as far as the runner knows, and for how long a retry on this machine is pointless. */
  readonly cause?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** Keep the result file: it holds more than the report. */
  readonly keepFiles?: boolean | undefined;
  /** Keep the run's streams too. */
  readonly keepStreams?: boolean | undefined;
}
