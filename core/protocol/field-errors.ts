/** Turns a validator's findings into readable errors: the field, the kind of error, and what was expected. */
import type { Validator } from 'typebox/schema';

export interface FieldError {
  readonly field: string;
  /** The kind of mistake, for programs. */
  readonly error: string;
  /** What was expected; continues a sentence that begins with the field. */
  readonly detail: string;
}

/** At most this many field errors are reported; the rest follow once these are fixed. */
const FIELD_ERRORS_MAX = 20;
/** Findings that are examined: a value can be wrong in a hundred thousand places. */
const FINDINGS_MAX = 100;

type Finding = ReturnType<Validator['Errors']>[1][number];

/** The errors of a value that the validator refuses. */
export function fieldErrors(validator: Validator, value: unknown): readonly FieldError[] {
  const findings = validator.Errors(value)[1].slice(0, FINDINGS_MAX);
  const unions = new Set(findings.filter(({ keyword }) => keyword === 'anyOf').map(({ instancePath }) => instancePath));
  return findings.flatMap((finding) => errorsOf(finding, unions.has(finding.instancePath) ? findings : null)).slice(0, FIELD_ERRORS_MAX);
}

/**
 * `others`: all findings if this value may have one of several types; else null. Such a value fails for each type. The error is
 * reported for the type that it has; if it has none of them, once, listing all.
 */
function errorsOf(finding: Finding, others: readonly Finding[] | null): readonly FieldError[] {
  const field = finding.instancePath.slice(1).replaceAll('/', '.');
  // The validator reports an unknown field twice: as the field, and as `additionalProperties` of its object.
  if (finding.keyword === 'additionalProperties') return [];
  if (finding.keyword === 'boolean') return [{ field, error: 'unknown_field', detail: 'is unknown' }];
  if (others === null || (finding.keyword !== 'anyOf' && finding.keyword !== 'type')) {
    if (finding.keyword !== 'required') return [{ field, error: finding.keyword, detail: detailOf(finding) }];
    return listIn(finding, 'requiredProperties').map((name) => ({
      field: field === '' ? name : `${field}.${name}`,
      error: 'required',
      detail: 'is required',
    }));
  }
  const here = others.filter(({ instancePath }) => instancePath.startsWith(finding.instancePath));
  const isOfAKind = here.some(({ keyword }) => keyword !== 'type' && keyword !== 'anyOf');
  if (finding.keyword === 'type' || isOfAKind) return [];
  const kinds = here.flatMap((other) => (other.keyword === 'type' ? [String(given(other, 'type'))] : []));
  return [{ field, error: 'type', detail: `must be ${kinds.join(' or ')}` }];
}

/** A parameter of the violated keyword; each keyword has its own. */
const given = (finding: Finding, name: string): unknown => (finding.params as Readonly<Record<string, unknown>>)[name];

function listIn(finding: Finding, name: string): readonly string[] {
  const list = given(finding, name);
  return Array.isArray(list) ? list.map(String) : [];
}

function detailOf(finding: Finding): string {
  const limit = Number(given(finding, 'limit'));
  switch (finding.keyword) {
    case 'enum':
      return `must be one of ${listIn(finding, 'allowedValues').join(', ')}`;
    case 'const':
      return `must be ${JSON.stringify(given(finding, 'allowedValue'))}`;
    case 'minLength':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} characters`;
    case 'maxLength':
      return `must have at most ${limit} characters`;
    case 'minItems':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} entries`;
    case 'maxItems':
      return `must have at most ${limit} entries`;
    case 'maxProperties':
      return `must have at most ${limit} names`;
    default:
      return finding.message;
  }
}
