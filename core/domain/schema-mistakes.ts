/** Describes the findings of a schema validator in words: what was expected, and what was found. */
import { describe, describeHidden } from './describe-value.ts';

/** A finding as TypeBox reports it. */
export interface SchemaFinding {
  readonly keyword: string;
  /** A JSON pointer to the schema that the value violates, after `#`. */
  readonly schemaPath: string;
  /** A JSON pointer to the value; empty: the whole value. */
  readonly instancePath: string;
  /** The parameters of the keyword; each keyword has its own. */
  readonly params: object;
  readonly message: string;
}

export interface SchemaMistake {
  /** The names and list positions that lead to the value; empty: the whole value. */
  readonly path: readonly string[];
  /** The violated keyword, `required` or `unknown_field`. */
  readonly kind: string;
  /** Continues a sentence that begins with the field: "must be a list, found 3". */
  readonly text: string;
  /** The same in the words of a config: "expected a list, found 3". */
  readonly expected: string;
}

/** Which values are not shown. `secrets`: those of fields that are `writeOnly`. `strings`: all strings, any of which may be secret. */
export type Hidden = 'secrets' | 'strings';

/** The schema keywords from which the texts are built. */
interface SchemaParts {
  readonly type?: string;
  /** For people, after "must be". */
  readonly description?: string;
  readonly writeOnly?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly anyOf?: readonly SchemaParts[];
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, SchemaParts>>;
}

/** One mistake for each wrong value, in the order of the findings. */
export function mistakesIn(findings: readonly SchemaFinding[], schema: unknown, value: unknown, hidden: Hidden): readonly SchemaMistake[] {
  const unions = new Set(findings.filter(({ keyword }) => keyword === 'anyOf').map(({ instancePath }) => instancePath));
  const reported = new Set<string>();
  return findings.flatMap((finding): readonly SchemaMistake[] => {
    const { keyword, instancePath } = finding;
    const path = stepsOf(instancePath);
    // The validator reports an unknown field twice: as the field, and as `additionalProperties` of its object.
    if (keyword === 'additionalProperties') return [];
    if (keyword === 'boolean') return [{ path, kind: 'unknown_field', text: 'is unknown', expected: 'is unknown' }];
    if (keyword === 'required') {
      const { properties = {} } = schemaAt(schema, finding.schemaPath);
      return listIn(finding, 'requiredProperties').map((name) => {
        const expected = `is missing; expected ${wantedBy(properties[name] ?? {})}`;
        return { path: [...path, name], kind: keyword, text: 'is required', expected };
      });
    }
    if (reported.has(instancePath)) return [];
    if (unions.has(instancePath) && !isOfTheUnion(finding, findings)) return [];
    reported.add(instancePath);
    const parts = schemaAt(schema, finding.schemaPath);
    const found = { value: valueAt(value, path), isHidden: hidden === 'strings' || parts.writeOnly === true };
    return [{ path, kind: keyword === 'anyOf' ? 'type' : keyword, ...textsOf(finding, parts, found) }];
  });
}

/**
 * A value that may have one of several types fails for each. The mistake reported is that of the type that the value has; if it has none
 * of them, that of the union, which lists them all.
 */
function isOfTheUnion({ keyword, instancePath }: SchemaFinding, findings: readonly SchemaFinding[]): boolean {
  const here = findings.filter((other) => other.instancePath.startsWith(instancePath));
  const isOfAKind = here.some((other) => other.keyword !== 'type' && other.keyword !== 'anyOf');
  return keyword === 'anyOf' ? !isOfAKind : keyword !== 'type';
}

interface Found {
  readonly value: unknown;
  readonly isHidden: boolean;
}

type Texts = Pick<SchemaMistake, 'text' | 'expected'>;

function textsOf(finding: SchemaFinding, parts: SchemaParts, found: Found): Texts {
  const limit = Number(given(finding, 'limit'));
  const { value } = found;
  const texts = (verb: string, wanted: string, what: string | number = foundText(found)): Texts => ({
    text: `must ${verb} ${wanted}, found ${what}`,
    expected: `expected ${wanted}, found ${what}`,
  });
  switch (finding.keyword) {
    case 'enum':
      return texts('be', `one of ${listIn(finding, 'allowedValues').join(', ')}`);
    case 'const':
      return texts('be', JSON.stringify(given(finding, 'allowedValue')));
    case 'minLength':
      if (limit === 1) return { text: EMPTY, expected: 'expected a text that is not empty, found an empty one' };
      return texts('have', `at least ${limit} characters`, charactersIn(value));
    case 'maxLength':
      return texts('have', `at most ${limit} characters`, charactersIn(value));
    case 'minItems':
      if (limit === 1) return { text: EMPTY, expected: 'expected a list that is not empty, found an empty one' };
      return texts('have', `at least ${limit} entries`, entriesIn(value));
    case 'maxItems':
      return texts('have', `at most ${limit} entries`, entriesIn(value));
    case 'maxProperties':
      return texts('have', `at most ${limit} names`, Object.keys(Object(value) as object).length);
    case 'pattern':
      if (parts.description !== undefined) break;
      return texts('match', `the pattern ${String(given(finding, 'pattern'))}`);
    case 'type':
    case 'anyOf':
    case 'minimum':
    case 'maximum':
      break;
    default: {
      const text = `${finding.message}, found ${foundText(found)}`;
      return { text, expected: text };
    }
  }
  return texts('be', wantedBy(parts));
}

const EMPTY = 'must not be empty';

function wantedBy(parts: SchemaParts): string {
  if (parts.description !== undefined) return parts.description;
  if (parts.anyOf !== undefined) return [...new Set(parts.anyOf.map(wantedBy))].join(' or ');
  if (parts.enum !== undefined) return `one of ${parts.enum.join(', ')}`;
  switch (parts.type) {
    case 'string':
      return 'a string';
    case 'integer':
      return `a whole number${rangeOf(parts)}`;
    case 'number':
      return `a number${rangeOf(parts)}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list';
    case 'object':
      return 'an object';
    default:
      return parts.type ?? 'another value';
  }
}

function rangeOf({ minimum, maximum = Infinity }: SchemaParts): string {
  const hasEnd = maximum < Number.MAX_SAFE_INTEGER;
  if (minimum === undefined) return hasEnd ? `, at most ${maximum}` : '';
  return hasEnd ? ` from ${minimum} to ${maximum}` : `, ${minimum} or more`;
}

const foundText = ({ value, isHidden }: Found): string => (isHidden && typeof value === 'string' ? describeHidden(value) : describe(value));
const charactersIn = (value: unknown): number => (typeof value === 'string' ? [...value].length : 0);
const entriesIn = (value: unknown): number => (Array.isArray(value) ? value.length : 0);

const given = ({ params }: SchemaFinding, name: string): unknown => (params as Readonly<Record<string, unknown>>)[name];

function listIn(finding: SchemaFinding, name: string): readonly string[] {
  const list = given(finding, name);
  return Array.isArray(list) ? list.map(String) : [];
}

const stepsOf = (pointer: string): readonly string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));

const valueAt = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, step) => (inner as Readonly<Record<string, unknown>> | null | undefined)?.[step], value);

/** An empty object for a pointer that cannot be followed. */
const schemaAt = (schema: unknown, pointer: string): SchemaParts => (valueAt(schema, stepsOf(pointer)) ?? {}) as SchemaParts;
