/** Validates a runner's options against its schema and reports all problems at once. */
import type { TObject } from 'typebox';
import { Type } from 'typebox';
import { Errors } from 'typebox/schema';
import type { ConfigProblem } from '../core/config/config.ts';

/**
 * All problems in `options`, each with its path; unknown options are problems too. Values are never shown, since they
 * may be secrets.
 */
export function optionProblems(schema: TObject, options: unknown): readonly ConfigProblem[] {
  const strict = Type.Object(schema.properties, { additionalProperties: false });
  const known = Object.keys(schema.properties).join(', ');
  const [, errors] = Errors(strict, options);
  return errors.flatMap((error): ConfigProblem[] => {
    const path = error.instancePath
      .slice(1)
      .replace(/\/(\d+)(?=\/|$)/g, '[$1]')
      .replaceAll('/', '.');
    const params = error.params as Readonly<Record<string, unknown>>;
    switch (error.keyword) {
      case 'additionalProperties':
        return []; // Reported again for each option, as `boolean`.
      case 'boolean':
        return [{ path, message: path.includes('.') ? 'is not an option' : `is not an option; the options are ${known}` }];
      case 'required':
        return (params['requiredProperties'] as readonly string[]).map((name) => ({
          path: path === '' ? name : `${path}.${name}`,
          message: 'is required',
        }));
      default:
        return [{ path, message: `${error.message}, found ${kindOf(valueAt(options, error.instancePath))}` }];
    }
  });
}

function valueAt(value: unknown, pointer: string): unknown {
  const names = pointer.split('/').slice(1);
  return names.reduce<unknown>((inner, name) => (inner as Readonly<Record<string, unknown>> | undefined)?.[name], value);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return `a list of ${String(value.length)}`;
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
