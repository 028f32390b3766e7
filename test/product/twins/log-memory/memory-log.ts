/** A log that tests can read. */
import { messageOf } from '../../../../core/errors/agentcom-error.ts';
import type { Log, LogFields } from '../../../../core/ports/log.ts';

/** Lines kept; the oldest are dropped first. */
const LINES_MAX = 10_000;

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

/** A log that keeps every entry. */
export interface MemoryLog extends Log {
  /** What was logged, oldest first, by this log and all logs made from it by `with`. */
  readonly lines: readonly LogLine[];
}

/** A `Log` that keeps the newest 10,000 lines as they were given. */
export const memoryLog = (): MemoryLog => {
  const lines: LogLine[] = [];
  const saying = (outer: LogFields): Log => {
    const say =
      (level: LogLine['level']) =>
      (message: string, fields: LogFields = {}): void => {
        lines.push({ level, message, fields: merged(outer, fields) });
        if (lines.length > LINES_MAX) lines.shift();
      };
    return {
      debug: say('debug'),
      info: say('info'),
      warn: say('warn'),
      error: say('error'),
      with: (fields) => saying(merged(outer, fields)),
    };
  };
  return { ...saying({}), lines };
};

/** Reading a field may throw (a getter, a proxy); the line then says so in place of the fields. */
const merged = (outer: LogFields, fields: LogFields): LogFields => {
  try {
    return { ...outer, ...fields };
  } catch (thrown) {
    return { ...outer, unreadableFields: messageOf(thrown) };
  }
};
