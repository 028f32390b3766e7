/** A log that counts its messages: each is a branch that was taken, and the rare ones must be taken too. */
import type { Log, LogFields } from '../../../core/ports/log.ts';
import { STEP_FAILED } from '../../../core/application/sidecar/engine/driver.ts';
import type { Trace } from '../runner/trace.ts';

/** The variable parts of a message: numbers, names and quotations. */
const PARTICULARS = /"[^"]*"|\b\d[\d,.]*\b|task-[0-9a-f]+/g;

export function countingLog(who: string, trace: Trace): Log {
  const kind = who.startsWith('agent') ? 'sidecar' : who;
  /** Most messages are always the same. */
  const names = new Map<string, string>();
  const nameOf = (message: string): string => {
    const known = names.get(message) ?? `log ${kind}: ${message.replaceAll(PARTICULARS, '…')}`;
    names.set(message, known);
    return known;
  };
  const say =
    (level: string) =>
    (message: string, fields: LogFields = {}): void => {
      trace.add(who, `${level}: ${message} ${textOf(fields)}`);
      trace.rare(nameOf(message));
    };
  const log: Log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error'), with: () => log };
  return log;
}

const textOf = (fields: LogFields): string =>
  JSON.stringify(fields, (_key, value: unknown) => (value instanceof Error ? value.message : value)) ?? '';

/** An internal rule that throws costs one run and no process, so only the log shows it. */
export function heedingLog(log: Log, broke: (what: string) => void): Log {
  const counting: Log = {
    ...log,
    error(message, fields) {
      log.error(message, fields);
      if (message === STEP_FAILED) broke(textOf(fields ?? {}));
    },
    with: () => counting,
  };
  return counting;
}
