/** Says what was refused without letting a flood of refusals flood the log. */
import type { Log, LogFields } from '../../core/ports/log.ts';

/** At most one line for each reason in this time. */
const QUIET_MS = 10_000;

/** Notes one refusal; `reason` is one of a few words of ours, never text of a peer. */
export type NoteRefusal = (reason: string, fields: LogFields) => void;

/** Logs the first refusal of each reason, then at most one in 10 s, with how many there were since the line before. */
export const refusalLog = (log: Log): NoteRefusal => {
  const seen = new Map<string, { quietUntilMs: number; unsaid: number }>();
  return (reason, fields) => {
    const nowMs = performance.now();
    const past = seen.get(reason) ?? { quietUntilMs: 0, unsaid: 0 };
    if (nowMs < past.quietUntilMs) {
      past.unsaid += 1;
      return;
    }
    seen.set(reason, { quietUntilMs: nowMs + QUIET_MS, unsaid: 0 });
    log.warn(`Refused at the port: ${reason}.`, { ...fields, ...(past.unsaid > 0 ? { alsoSinceLastLine: past.unsaid } : {}) });
  };
};
