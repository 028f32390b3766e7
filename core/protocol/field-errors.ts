/** Turns a validator's findings into readable errors: the field, the kind of error, and what was expected. */
import type { Validator } from 'typebox/schema';
import { mistakesIn, type Hidden } from '../domain/schema-mistakes.ts';

export interface FieldError {
  readonly field: string;
  /** The kind of mistake, for programs. */
  readonly error: string;
  /** What was expected, and what was found; continues a sentence that begins with the field. */
  readonly detail: string;
}

/** At most this many field errors are reported; the rest follow once these are fixed. */
const FIELD_ERRORS_MAX = 20;
/** Findings that are examined: a value can be wrong in a hundred thousand places. */
const FINDINGS_MAX = 100;

/** The errors of a value that the validator refuses. `hidden`: which values they do not show. */
export function fieldErrors(validator: Validator, value: unknown, hidden: Hidden = 'secrets'): readonly FieldError[] {
  const findings = validator.Errors(value)[1].slice(0, FINDINGS_MAX);
  return mistakesIn(findings, validator.Schema(), value, hidden)
    .slice(0, FIELD_ERRORS_MAX)
    .map(({ path, kind, text }) => ({ field: path.join('.'), error: kind, detail: text }));
}
