/**
 * Redacts the secrets that a sidecar knows. Agent output passes through here before anything is truncated, journaled,
 * logged or sent, so that truncation cannot leave half a secret behind.
 */
import type { Log, LogFields } from '../../../ports/log.ts';
import type { ResultFileEvent } from '../../../ports/result-inbox.ts';
import type { WakeEvent } from '../../../ports/wake-runner.ts';
import type { SidecarInput } from '../state/inputs.ts';

/** Replaces a secret. */
export const REDACTED = '[redacted]';
/** Maximum number of secrets; beyond it the shortest are ignored. */
export const SECRETS_MAX = 64;
/** How many secrets added later are kept: the newest ones, so that a sidecar whose token is rotated for years keeps its other secrets. */
export const ADDED_SECRETS_MAX = 4;
/** A truncated secret at either end of a text, or next to an ellipsis in it, is redacted if it has at least this many characters. */
const PARTIAL_CHARACTERS_MIN = 8;
/** What runners insert where they have shortened a text. */
const ELLIPSIS = '…';
const CUT = / ?… ?/;
/** How many ellipses are checked in one text. */
const CUTS_MAX = 256;
/** How many lines of multi-line secrets, such as private keys, are searched for by themselves, and the minimum length of one in characters. */
const LINES_MAX = 64;
const LINE_CHARACTERS_MIN = 16;
/** How deep log fields are searched. */
const FIELD_DEPTH_MAX = 6;
/** Field names of a result file that are ours and never redacted; neither is the value of `status`. */
const RESULT_FIELDS: ReadonlySet<string> = new Set([
  'status',
  'output',
  'reason',
  'error',
  'retryable',
  'tokens_used',
  'cost_usd',
  'generation',
]);

export interface Redactor {
  /** Redacts this secret too, from now on. */
  add(secret: string): void;
  text(text: string): string;
  /** Returns the same value if it contains no secret. The value must be serializable as JSON. */
  value(value: unknown): unknown;
}

/**
 * Longest first, so that a secret containing another is redacted as a whole. Each is also searched for in its JSON-escaped
 * form, and each of its long lines by itself: the output of programs is read line by line.
 */
export function createRedactor(secrets: readonly string[]): Redactor {
  let forms = formsOf(secrets);
  let added: readonly string[] = [];

  const text = (input: string, among: readonly string[] = forms): string => {
    let clean = input;
    for (const form of among) if (clean.includes(form)) clean = clean.replaceAll(form, REDACTED);
    return clean.includes(ELLIPSIS) ? redactAtCuts(clean, among) : clean;
  };
  const walk = (value: unknown, among: readonly string[]): unknown => {
    if (typeof value === 'string') return text(value, among);
    if (Array.isArray(value)) return value.map((item: unknown) => walk(item, among));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [text(key, among), walk(inner, among)]));
  };
  return {
    add(secret) {
      if (secrets.includes(secret) || added.includes(secret)) return;
      added = [...added, secret].slice(-ADDED_SECRETS_MAX);
      forms = formsOf([...secrets, ...added]);
    },
    text: (input) => (forms.length === 0 ? input : redactPartialSecrets(text(input), forms)),
    value(value) {
      if (forms.length === 0) return value;
      if (typeof value === 'string') return text(value);
      // Hardly any result contains a secret, so search the serialized value once before walking it.
      const whole = JSON.stringify(value) ?? '';
      const isCut = whole.includes(ELLIPSIS);
      const found = forms.filter(
        (form) => whole.includes(form) || whole.includes(escaped(form)) || (isCut && isLong(form) && mayHaveCut(whole, form)),
      );
      return found.length === 0 ? value : walk(value, found);
    },
  };
}

function formsOf(secrets: readonly string[]): readonly string[] {
  const longest = [...new Set(secrets.filter((secret) => secret !== ''))].sort((a, b) => b.length - a.length).slice(0, SECRETS_MAX);
  const lines = longest.flatMap((secret) => (secret.includes('\n') ? secret.split(/\r?\n/) : []));
  const longLines = lines.filter((line) => line.length >= LINE_CHARACTERS_MIN).slice(0, LINES_MAX);
  return [...new Set([...longest, ...longLines].flatMap((secret) => [escaped(secret), secret]))].sort((a, b) => b.length - a.length);
}

const escaped = (text: string): string => JSON.stringify(text).slice(1, -1);

const isLong = (form: string): boolean => form.length > PARTIAL_CHARACTERS_MIN;
const mayHaveCut = (whole: string, form: string): boolean =>
  whole.includes(form.slice(0, PARTIAL_CHARACTERS_MIN)) || whole.includes(form.slice(-PARTIAL_CHARACTERS_MIN));

/** Redacts parts of secrets next to each ellipsis. */
function redactAtCuts(text: string, forms: readonly string[]): string {
  let rest = text;
  let clean = '';
  for (let cuts = 0; ; cuts += 1) {
    const cut = cuts < CUTS_MAX ? CUT.exec(rest) : null;
    const part = cut === null ? rest : rest.slice(0, cut.index);
    clean += redactPartialSecrets(part, forms, { start: cuts > 0, end: cut !== null });
    if (cut === null) return clean;
    clean += cut[0];
    rest = rest.slice(cut.index + cut[0].length);
  }
}

/** Redacts parts of secrets at the ends of a truncated text. */
function redactPartialSecrets(
  text: string,
  forms: readonly string[],
  at: { readonly start: boolean; readonly end: boolean } = { start: true, end: true },
): string {
  let clean = text;
  for (const form of forms) {
    const atMost = at.start ? Math.min(form.length - 1, clean.length) : 0;
    for (let length = atMost; length >= PARTIAL_CHARACTERS_MIN; length -= 1) {
      if (!clean.startsWith(form.slice(-length))) continue;
      clean = REDACTED + clean.slice(length);
      break;
    }
    if (!at.end) continue;
    for (let length = Math.min(form.length - 1, clean.length); length >= PARTIAL_CHARACTERS_MIN; length -= 1) {
      if (!clean.endsWith(form.slice(0, length))) continue;
      clean = clean.slice(0, -length) + REDACTED;
      break;
    }
  }
  return clean;
}

/** The input with secrets redacted. Names, process marks and numbers are left alone. */
export function redactInput(input: SidecarInput, redactor: Redactor): SidecarInput {
  switch (input.type) {
    case 'wake_event':
      return { ...input, event: redactWakeEvent(input.event, redactor) };
    case 'file_event':
      return { ...input, event: redactFileEvent(input.event, redactor) };
    case 'invalid_wake_event':
    case 'prepare_failed':
      return { ...input, message: redactor.text(input.message) };
    case 'wake_stream_ended':
      return input.error === null ? input : { ...input, error: redactor.text(input.error) };
    case 'runner_checked':
      return {
        ...input,
        checks: input.checks.map((each) => ({ ...each, check: redactor.text(each.check), message: redactor.text(each.message) })),
      };
    default:
      return input;
  }
}

function redactWakeEvent(event: WakeEvent, redactor: Redactor): WakeEvent {
  switch (event.type) {
    case 'progress':
      return typeof event.message === 'string' ? { ...event, message: redactor.text(event.message) } : event;
    case 'output':
      return { ...event, text: redactor.text(event.text) };
    case 'completed':
      return event.output === undefined ? event : { ...event, output: redactor.value(event.output) };
    case 'failed': {
      const details = event.details === undefined ? {} : { details: redactor.value(event.details) as Readonly<Record<string, unknown>> };
      return { ...event, message: redactor.text(event.message), ...details };
    }
    case 'exited':
      return { ...event, stderrTail: redactor.text(event.stderrTail) };
    default:
      return event;
  }
}

function redactFileEvent(event: ResultFileEvent, redactor: Redactor): ResultFileEvent {
  if (event.kind === 'invalid') return { ...event, message: redactor.text(event.message) };
  if (event.kind === 'progress') return event.message === null ? event : { ...event, message: redactor.text(event.message) };
  if (event.kind !== 'result') return event;
  const { status, ...input } = event.value;
  const fields = Object.entries(input).map(
    ([key, value]) => [RESULT_FIELDS.has(key) ? key : redactor.text(key), redactor.value(value)] as const,
  );
  return { ...event, value: { ...('status' in event.value ? { status } : {}), ...Object.fromEntries(fields) } };
}

/** A log that redacts secrets for all its users. */
export function redactingLog(log: Log, redactor: Redactor): Log {
  const fieldsOf = (fields: LogFields = {}): LogFields => redactField(fields, redactor, 0) as LogFields;
  return {
    debug: (message, fields) => log.debug(redactor.text(message), fieldsOf(fields)),
    info: (message, fields) => log.info(redactor.text(message), fieldsOf(fields)),
    warn: (message, fields) => log.warn(redactor.text(message), fieldsOf(fields)),
    error: (message, fields) => log.error(redactor.text(message), fieldsOf(fields)),
    with: (fields) => redactingLog(log.with(fieldsOf(fields)), redactor),
  };
}

/** A field may be any value, including errors and circular objects. */
function redactField(value: unknown, redactor: Redactor, depth: number): unknown {
  if (typeof value === 'string') return redactor.text(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= FIELD_DEPTH_MAX) return '[deeper than is logged]';
  try {
    if (value instanceof Error) {
      const { name, message, stack = '' } = value;
      const code = 'code' in value && typeof value.code === 'string' ? { code: value.code } : {};
      return { type: name, message: redactor.text(message), ...code, stack: redactor.text(stack) };
    }
    if (Array.isArray(value)) return value.map((item: unknown) => redactField(item, redactor, depth + 1));
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, redactField(inner, redactor, depth + 1)]));
  } catch {
    return '[cannot be read]'; // A getter threw; logging must not.
  }
}
