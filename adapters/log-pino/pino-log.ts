/** The log of a running program, written by pino: one JSON object per line, or human-readable lines. */
import { destination, pino, stdSerializers, type DestinationStream, type Logger } from 'pino';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { Log, LogFields } from '../../core/ports/log.ts';
import { readableLine } from './readable-line.ts';

/** A longer line is replaced by one that quotes its beginning. */
const LINE_CHARACTERS_MAX = 65_536;
const BEGINNING_CHARACTERS = 1_024;
/** Bytes kept while they cannot be written (a full disk); anything beyond that is dropped. */
const UNWRITTEN_BYTES_MAX = 1_048_576;
/** Lines that wait for the end of the turn are written sooner once they have this many characters. */
const TOGETHER_CHARACTERS_MAX = 65_536;

const STANDARD_ERROR = 2;
/** Keys that pino writes itself; a field of the same name gets a `_` appended to its name. */
const TAKEN_KEYS: ReadonlySet<string> = new Set(['level', 'time', 'pid', 'msg']);

export interface PinoLogOptions {
  /** The lowest level that is written. Default `info`. */
  readonly level?: 'debug' | 'info' | 'warn' | 'error' | undefined;
  /** A file to append to. Default: standard error. */
  readonly file?: string | undefined;
  /** Human-readable lines instead of JSON. */
  readonly isReadable?: boolean | undefined;
  /**
   * Lines of one turn of the event loop are written together at its end, because the system call costs more than the line. A warning or
   * an error is written at once, together with all lines before it, and what is left is written at exit. Default: each line by itself.
   */
  readonly isTogether?: boolean | undefined;
}

/**
 * A `Log` with keys `level` (its name), `time` (milliseconds since 1970), `pid`, the fields, and `msg`. Errors among the
 * fields are written with type, message, code and stack. Without `isTogether`, each line is written before the call returns, so
 * that the last one before a crash is not lost; if standard error is a pipe whose reader does not read, the program blocks. Nothing
 * is redacted: callers never pass a token.
 *
 * Fails with the error of the file system if `file` cannot be opened.
 */
export const pinoLog = (options: PinoLogOptions = {}): Log => {
  const output = destination({ dest: options.file ?? STANDARD_ERROR, sync: true, maxLength: UNWRITTEN_BYTES_MAX });
  // A log that cannot write has nowhere to report it, and must not stop the program: the lines stay in the output's buffer
  // and go out with the next line that can be written. pino itself handles a reader that has gone.
  output.on('error', () => undefined);
  const stream = options.isTogether === true ? together(output) : output;
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: { pid: process.pid },
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: options.isReadable === true ? (line) => readableLine(bounded(line)) : bounded },
    },
    stream,
  );
  return saying(logger, NO_FIELDS, () => stream.flush());
};

/** Writes the lines of one turn of the event loop together. Only for the single log of a program, because it listens for the exit. */
function together(output: DestinationStream): DestinationStream & { flush(): void } {
  let lines = '';
  const flush = (): void => {
    if (lines === '') return;
    const text = lines;
    lines = '';
    output.write(text);
  };
  process.once('exit', flush);
  return {
    flush,
    write(line) {
      if (lines === '') setImmediate(flush);
      lines += line;
      if (lines.length >= TOGETHER_CHARACTERS_MAX) flush();
    },
  };
}

const NO_FIELDS: LogFields = {};

const saying = (logger: Logger, outer: LogFields, flush: () => void): Log => {
  const say =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void => {
      if (!logger.isLevelEnabled(level)) return;
      logger[level](merged(outer, fields), message);
      if (level === 'warn' || level === 'error') flush();
    };
  return {
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
    with: (fields) => saying(logger, merged(outer, fields), flush),
  };
};

/** Reading a field may throw (a getter, a proxy); the line then contains that error instead of the fields. */
const merged = (outer: LogFields, fields: LogFields): LogFields => {
  try {
    // With spreads, Node 20 takes twenty times as long.
    if (!needsChange(fields)) return outer === NO_FIELDS ? fields : Object.assign({}, outer, fields);
    const all: Record<string, unknown> = { ...outer };
    for (const [key, value] of Object.entries(fields)) {
      all[TAKEN_KEYS.has(key) ? `${key}_` : key] = value instanceof Error ? stdSerializers.err(value) : value;
    }
    return all;
  } catch (thrown) {
    return { ...outer, unreadableFields: messageOf(thrown) };
  }
};

const needsChange = (fields: LogFields): boolean => {
  for (const key in fields) if (TAKEN_KEYS.has(key) || fields[key] instanceof Error) return true;
  return false;
};

const bounded = (line: string): string => {
  if (line.length <= LINE_CHARACTERS_MAX) return line;
  const note = { level: 'warn', time: Date.now(), characters: line.length, beginning: line.slice(0, BEGINNING_CHARACTERS) };
  return `${JSON.stringify({ ...note, msg: 'A log line was too long and was truncated.' })}\n`;
};
