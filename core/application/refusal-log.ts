/** Says what was refused without letting a flood of refusals flood the log. */
import type { Clock } from '../ports/clock.ts';
import type { Log, LogFields } from '../ports/log.ts';

/** At most one line of each kind in this time, milliseconds. */
const QUIET_MS = 10_000;

/**
 * Notes one refusal. `kind` is made of words of ours, never of a peer's text: there are few. The first of a kind is
 * logged at once, later ones at most once in 10 s, with how many there were since the line before.
 */
export type NoteRefusal = (kind: string, message: string, fields: LogFields) => void;

export function refusalLog({ log, clock }: { readonly log: Log; readonly clock: Pick<Clock, 'monotonicMs'> }): NoteRefusal {
  const seen = new Map<string, { readonly quietUntilMs: number; unsaid: number }>();
  return (kind, message, fields) => {
    const nowMs = clock.monotonicMs();
    const past = seen.get(kind);
    if (past !== undefined && nowMs < past.quietUntilMs) {
      past.unsaid += 1;
      return;
    }
    seen.set(kind, { quietUntilMs: nowMs + QUIET_MS, unsaid: 0 });
    const unsaid = past?.unsaid ?? 0;
    log.warn(message, unsaid === 0 ? fields : { ...fields, also_since_last_line: unsaid });
  };
}
