/** Validates a value against its schema; each problem has its path, what was expected and what was found. */
import type { TSchema } from 'typebox';
import { Check } from 'typebox/schema';
import type { ConfigProblem } from './config.ts';
import { adapterProblems } from './adapter-choice.ts';
import { unknownOption } from './options-object.ts';
import { describe, describeHidden, isRecord } from '../domain/describe-value.ts';

/** The path of a problem that does not belong to a single option. */
export const WHOLE_CONFIG = '(the whole config)';

/** The schema keywords that are used here. */
interface SchemaParts {
  readonly properties?: Readonly<Record<string, TSchema>>;
  readonly required?: readonly string[];
  readonly items?: TSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly description?: string;
  readonly writeOnly?: boolean;
  readonly port?: string;
}

/**
 * Every problem of `value` below `path`. Keys that are `undefined` count as omitted. TypeBox's own list ends
 * after eight errors, so objects and lists are walked here and TypeBox checks the leaves.
 */
export function schemaProblems(schema: TSchema, value: unknown, path: string): ConfigProblem[] {
  const parts = schema as SchemaParts;
  if (parts.port !== undefined) return adapterProblems(parts.port, parts.description ?? '', value, path);
  if (parts.properties !== undefined) {
    return isRecord(value) ? objectProblems(parts, value, path) : [problemAt(parts, value, path)];
  }
  if (parts.items !== undefined) {
    const { items, minItems = 0, maxItems = Infinity } = parts;
    if (!Array.isArray(value) || value.length < minItems || value.length > maxItems) return [problemAt(parts, value, path)];
    return value.flatMap((item: unknown, index) => schemaProblems(items, item, `${path}[${index}]`));
  }
  return Check(schema, value) ? [] : [problemAt(parts, value, path)];
}

function objectProblems(parts: SchemaParts, value: Readonly<Record<string, unknown>>, path: string): ConfigProblem[] {
  const { properties = {}, required = [] } = parts;
  const below = (key: string): string => (path === '' ? key : `${path}.${key}`);
  const problems: ConfigProblem[] = [];
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(properties, key)) problems.push({ path: below(key), message: unknownOption(key, Object.keys(properties)) });
  }
  for (const [key, schema] of Object.entries(properties)) {
    const inner = value[key];
    if (inner !== undefined) problems.push(...schemaProblems(schema, inner, below(key)));
    else if (required.includes(key)) problems.push({ path: below(key), message: `is missing; expected ${wantedBy(schema)}` });
  }
  return problems;
}

const wantedBy = (schema: TSchema): string => (schema as SchemaParts).description ?? 'another value';

function problemAt(parts: SchemaParts, value: unknown, path: string): ConfigProblem {
  const found = parts.writeOnly === true ? describeHidden(value) : describe(value);
  return { path: path === '' ? WHOLE_CONFIG : path, message: `expected ${parts.description ?? 'another value'}, found ${found}` };
}
