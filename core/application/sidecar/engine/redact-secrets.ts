/**
 * Blots out the secrets that a sidecar knows. What an agent says passes here before anything is cut, journalled, logged or sent,
 * so that no half of a secret is left where a text was cut later.
 */
import type { Log, LogFields } from '../../../ports/log.ts';
import type { ResultSighting } from '../../../ports/result-inbox.ts';
import type { WakeEvent } from '../../../ports/wake-runner.ts';
import type { Event } from '../state/inputs.ts';

/** What stands in the place of a secret. */
export const BLOT = '[redacted]';
/** Secrets that are looked for, each in a text of at most one result: more are left out, the shortest first. */
export const SECRETS_MAX = 64;
/** Of a secret whose text was cut before it came here, this many characters or more are blotted out too. */
const PART_CHARACTERS_MIN = 8;
/** How deep a log line's field is looked into. */
const FIELD_DEPTH_MAX = 6;
/** Words of a result file that are ours: their names stay, and what `status` says. */
const RESULT_WORDS: ReadonlySet<string> = new Set([
  'status',
  'output',
  'reason',
  'error',
  'retryable',
  'tokens_used',
  'cost_usd',
  'generation',
]);

export interface Blotter {
  text(text: string): string;
  /** The very value where nothing of it is a secret. It must be one that can be written as JSON. */
  value(value: unknown): unknown;
}

/** Longest first: a secret that holds another is blotted out whole. Each also as JSON writes it inside of a text. */
export function blotter(secrets: readonly string[]): Blotter {
  const longest = [...new Set(secrets.filter((secret) => secret !== ''))].sort((a, b) => b.length - a.length).slice(0, SECRETS_MAX);
  const forms = [...new Set(longest.flatMap((secret) => [escaped(secret), secret]))].sort((a, b) => b.length - a.length);

  const text = (said: string, among: readonly string[] = forms): string => {
    let clean = said;
    for (const form of among) if (clean.includes(form)) clean = clean.replaceAll(form, BLOT);
    return clean;
  };
  const walk = (value: unknown, among: readonly string[]): unknown => {
    if (typeof value === 'string') return text(value, among);
    if (Array.isArray(value)) return value.map((item: unknown) => walk(item, among));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [text(key, among), walk(inner, among)]));
  };
  return {
    text: (said) => (forms.length === 0 ? said : withoutParts(text(said), forms)),
    value(value) {
      if (forms.length === 0) return value;
      if (typeof value === 'string') return text(value);
      // Written once, as a whole: hardly any result has a secret, and then nothing more is to be done.
      const whole = JSON.stringify(value) ?? '';
      const found = forms.filter((form) => whole.includes(form) || whole.includes(escaped(form)));
      return found.length === 0 ? value : walk(value, found);
    },
  };
}

const escaped = (text: string): string => JSON.stringify(text).slice(1, -1);

/** What is left of a secret at the ends of a text that was cut there. */
function withoutParts(text: string, forms: readonly string[]): string {
  let clean = text;
  for (const form of forms) {
    const atMost = Math.min(form.length - 1, clean.length);
    for (let length = atMost; length >= PART_CHARACTERS_MIN; length -= 1) {
      if (!clean.startsWith(form.slice(-length))) continue;
      clean = BLOT + clean.slice(length);
      break;
    }
    for (let length = Math.min(form.length - 1, clean.length); length >= PART_CHARACTERS_MIN; length -= 1) {
      if (!clean.endsWith(form.slice(0, length))) continue;
      clean = clean.slice(0, -length) + BLOT;
      break;
    }
  }
  return clean;
}

/** What was heard or seen of an agent, without secrets. Names, marks and numbers stay as they are. */
export function blotted(event: Event, blot: Blotter): Event {
  switch (event.type) {
    case 'wake':
      return { ...event, event: blottedWord(event.event, blot) };
    case 'sighting':
      return { ...event, sighting: blottedSighting(event.sighting, blot) };
    case 'wake_refused':
    case 'prepare_failed':
      return { ...event, message: blot.text(event.message) };
    case 'run_over':
      return event.error === null ? event : { ...event, error: blot.text(event.error) };
    case 'checked':
      return {
        ...event,
        checks: event.checks.map((each) => ({ ...each, check: blot.text(each.check), message: blot.text(each.message) })),
      };
    default:
      return event;
  }
}

function blottedWord(event: WakeEvent, blot: Blotter): WakeEvent {
  switch (event.type) {
    case 'progress':
      return typeof event.message === 'string' ? { ...event, message: blot.text(event.message) } : event;
    case 'output':
      return { ...event, text: blot.text(event.text) };
    case 'completed':
      return event.output === undefined ? event : { ...event, output: blot.value(event.output) };
    case 'failed': {
      const details = event.details === undefined ? {} : { details: blot.value(event.details) as Readonly<Record<string, unknown>> };
      return { ...event, message: blot.text(event.message), ...details };
    }
    case 'exited':
      return { ...event, stderrTail: blot.text(event.stderrTail) };
    default:
      return event;
  }
}

function blottedSighting(sighting: ResultSighting, blot: Blotter): ResultSighting {
  if (sighting.kind === 'invalid') return { ...sighting, message: blot.text(sighting.message) };
  if (sighting.kind === 'progress') return sighting.message === null ? sighting : { ...sighting, message: blot.text(sighting.message) };
  if (sighting.kind !== 'result') return sighting;
  const { status, ...said } = sighting.value;
  const words = Object.entries(said).map(([key, value]) => [RESULT_WORDS.has(key) ? key : blot.text(key), blot.value(value)] as const);
  return { ...sighting, value: { ...('status' in sighting.value ? { status } : {}), ...Object.fromEntries(words) } };
}

/** A log that says no secret, whoever logs. */
export function blottedLog(log: Log, blot: Blotter): Log {
  const fieldsOf = (fields: LogFields = {}): LogFields => blottedField(fields, blot, 0) as LogFields;
  return {
    debug: (message, fields) => log.debug(blot.text(message), fieldsOf(fields)),
    info: (message, fields) => log.info(blot.text(message), fieldsOf(fields)),
    warn: (message, fields) => log.warn(blot.text(message), fieldsOf(fields)),
    error: (message, fields) => log.error(blot.text(message), fieldsOf(fields)),
    with: (fields) => blottedLog(log.with(fieldsOf(fields)), blot),
  };
}

/** A field may be anything, also an error or what has itself inside. */
function blottedField(value: unknown, blot: Blotter, depth: number): unknown {
  if (typeof value === 'string') return blot.text(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= FIELD_DEPTH_MAX) return '[deeper than is logged]';
  try {
    if (value instanceof Error) {
      const { name, message, stack = '' } = value;
      const code = 'code' in value && typeof value.code === 'string' ? { code: value.code } : {};
      return { type: name, message: blot.text(message), ...code, stack: blot.text(stack) };
    }
    if (Array.isArray(value)) return value.map((item: unknown) => blottedField(item, blot, depth + 1));
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, blottedField(inner, blot, depth + 1)]));
  } catch {
    return '[cannot be read]'; // A getter that throws: a log never does.
  }
}
