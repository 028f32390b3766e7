/** What stops a run of a handler. */
import type { StopController } from '../../core/application/sidecar/state/ports.ts';
import type { StopSignal } from '../../core/ports/wake-runner.ts';
import { TaskAborted } from './handler.ts';

/** The grace period of a stop for which the hub names none, milliseconds. */
const GRACE_MS = 5_000;

/** Makes its `AbortSignal` on first use: one costs as much as the rest of a short run, and most handlers never look at theirs. */
export class RunSignal {
  #reason: TaskAborted | null = null;
  #made: AbortController | null = null;
  #onAbort: ((reason: TaskAborted) => void) | null = null;

  /** Why the run has to stop; null while it may continue. */
  get reason(): TaskAborted | null {
    return this.#reason;
  }

  /** For the handler. */
  get signal(): AbortSignal {
    if (this.#made === null) {
      this.#made = new AbortController();
      if (this.#reason !== null) this.#made.abort(this.#reason);
    }
    return this.#made.signal;
  }

  /** One listener, called before those of the handler. */
  onAbort(listener: (reason: TaskAborted) => void): void {
    this.#onAbort = listener;
  }

  abort(reason: TaskAborted): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#onAbort?.(reason);
    this.#made?.abort(reason);
  }
}

/** Its signal is a `RunSignal`, which only `functionRunner` gets. */
export function runStopController(): StopController {
  const signal = new RunSignal();
  return {
    signal: signal as unknown as StopSignal,
    abort(why) {
      const { reason = 'it is no longer wanted', graceMs = GRACE_MS } = (why ?? {}) as {
        readonly reason?: string;
        readonly graceMs?: number;
      };
      signal.abort(new TaskAborted(reason, graceMs));
    },
  };
}
