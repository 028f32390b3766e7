/** Logs refusals, throttled so that a flood of them does not flood the log. */
import type { Clock } from '../ports/clock.ts';
import type { Log, LogFields } from '../ports/log.ts';

/** At most one line of each kind in this time, milliseconds. */
const QUIET_MS = 10_000;

/**
 * Logs one refusal. `kind` is one of a few fixed texts, never text of a peer. The first of a kind is logged at once, later
 * ones at most once in 10 s, with how many there were since the previous line.
 */
export type NoteRefusal = (kind: string, message: string, fields: LogFields) => void;

export function refusalLog({ log, clock }: { readonly log: Log; readonly clock: Pick<Clock, 'monotonicMs'> }): NoteRefusal {
  const seen = new Map<string, { readonly quietUntilMs: number; suppressed: number }>();
  return (kind, message, fields) => {
    const nowMs = clock.monotonicMs();
    const past = seen.get(kind);
    if (past !== undefined && nowMs < past.quietUntilMs) {
      past.suppressed += 1;
      return;
    }
    seen.set(kind, { quietUntilMs: nowMs + QUIET_MS, suppressed: 0 });
    const suppressed = past?.suppressed ?? 0;
    log.warn(message, suppressed === 0 ? fields : { ...fields, also_since_last_line: suppressed });
  };
}
