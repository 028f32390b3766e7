/** A human-readable line of the log: `12:03:04 WARN  a request was refused  path=/api/tasks status=401`. */

/** Control characters and bidirectional marks: the log also contains what agents and strangers send. */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;
/** Fields that have their own place in the line, or are the same on every line. */
const LEFT_OUT: ReadonlySet<string> = new Set(['level', 'time', 'pid', 'program', 'msg']);

/** `json`: a line as pino writes it. */
export function readableLine(json: string): string {
  const fields = JSON.parse(json) as Readonly<Record<string, unknown>>;
  const time = new Date(Number(fields['time'])).toTimeString().slice(0, 8);
  const pairs = Object.entries(fields)
    .filter(([name]) => !LEFT_OUT.has(name))
    .map(([name, value]) => `${escaped(name)}=${valueText(value)}`);
  const level = String(fields['level']).toUpperCase().padEnd(5);
  return `${time} ${level} ${[escaped(String(fields['msg'] ?? '')), pairs.join(' ')].join('  ').trimEnd()}\n${stackOf(fields)}`;
}

/** Quoted unless it is a single word; for an error, its message. */
function valueText(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"=]+$/.test(value)) return escaped(value);
  if (isError(value)) return escaped(JSON.stringify(value.message));
  return escaped(JSON.stringify(value) ?? 'undefined');
}

/** The stack of an error, on lines of its own. */
function stackOf(fields: Readonly<Record<string, unknown>>): string {
  const error = Object.values(fields).find(isError);
  if (typeof error?.stack !== 'string') return '';
  return error.stack
    .split('\n')
    .slice(1)
    .map((line) => `    ${escaped(line.trim())}\n`)
    .join('');
}

const isError = (value: unknown): value is { readonly message: string; readonly stack?: unknown } =>
  typeof value === 'object' && value !== null && 'message' in value && typeof value.message === 'string' && 'stack' in value;

const escaped = (text: string): string =>
  text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
