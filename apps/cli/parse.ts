/** Parsers for option values; each throws commander's InvalidArgumentError, which names the option. */
import { InvalidArgumentError } from 'commander';
import { ACCEPTABLE, type Acceptable, type Acceptance } from '../../core/domain/task/task.ts';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `1500ms`, `90s`, `15m`, `2h`, `1d` → milliseconds. A number alone is refused: `--ttl 5` would mean 5 ms to one and 5 minutes to another. */
export function parseDuration(text: string): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  const milliseconds = Math.round(Number(amount) * (UNIT_MS[unit] ?? NaN));
  if (!Number.isSafeInteger(milliseconds) || milliseconds < 1) {
    throw new InvalidArgumentError('Expected a duration with a unit, greater than 0, such as 500ms, 90s, 15m, 2h or 1d.');
  }
  return milliseconds;
}

/** Ten digits, as seconds since 1970 have, would be a time in 1970; 14 or more, as in `20300101120000` or microseconds, one after 2286. */
const SINCE_1970 = /^\d{12,13}$/;

/** `+15m`, `2026-03-01T12:00:00Z`, or milliseconds since 1970 → milliseconds since 1970. */
export function parseTime(text: string): number {
  if (text.startsWith('+')) return Date.now() + parseDuration(text.slice(1));
  const milliseconds = SINCE_1970.test(text) ? Number(text) : /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN;
  if (!Number.isSafeInteger(milliseconds)) {
    throw new InvalidArgumentError('Expected a time such as +15m, 2026-03-01T12:00:00Z or milliseconds since 1970.');
  }
  return milliseconds;
}

/** `2h` (ago), an ISO time or milliseconds since 1970 → milliseconds since 1970. */
export function parsePast(text: string): number {
  if (SINCE_1970.test(text) || /^\d{4}-\d\d-\d\d/.test(text)) return parseTime(text);
  if (!/^\d+(\.\d+)?[smhd]$/.test(text.trim())) {
    throw new InvalidArgumentError('Expected a time such as 2h or 7d (ago), 2026-03-01T12:00:00Z or milliseconds since 1970.');
  }
  return Math.max(0, Date.now() - parseDuration(text));
}

export function parseWhole(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(number)) throw new InvalidArgumentError('Expected a whole number, 0 or more.');
  return number;
}

export function parsePercent(text: string): number {
  const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (!(number <= 100)) throw new InvalidArgumentError('Expected a number from 0 to 100.');
  return number;
}

export function parseJsonObject(text: string): Record<string, unknown> {
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidArgumentError('Expected a JSON object, such as \'{"team":"web"}\'.');
  }
  return value as Record<string, unknown>;
}

/** Text, or a JSON object. */
export const parseNote = (text: string): string | Record<string, unknown> => (text.startsWith('{') ? parseJsonObject(text) : text);

/** For repeatable options that take text or JSON objects. */
export const collectNotes = (
  text: string,
  before: readonly (string | Record<string, unknown>)[] = [],
): (string | Record<string, unknown>)[] => [...before, parseNote(text)];

/** Wrapped in an object, because commander takes a bare `null` for an option without a value. */
export const parseJsonValue = (text: string): { readonly value: unknown } => ({ value: parseJson(text) });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('Not valid JSON.');
  }
}

/** For repeatable options. */
export const collect = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** For a repeatable option that takes endings of an agent. */
export function collectAccepted(text: string, before: Acceptance = {}): Acceptance {
  if (!ACCEPTABLE.includes(text as Acceptable)) throw new InvalidArgumentError(`Expected one of ${ACCEPTABLE.join(', ')}.`);
  return { ...before, [text]: true };
}
