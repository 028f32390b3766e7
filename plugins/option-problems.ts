/** Validates a runner's options against its schema and reports all problems at once. */
import type { TObject } from 'typebox';
import { Type } from 'typebox';
import { Errors } from 'typebox/schema';
import type { ConfigProblem } from '../core/config/config.ts';
import { notAnObject } from '../core/config/options-object.ts';
import { mistakesIn } from '../core/domain/schema-mistakes.ts';

/** All problems in `options`, each with its path; unknown options are problems too. Strings are never shown, since any may be a secret. */
export function optionProblems(schema: TObject, options: unknown): readonly ConfigProblem[] {
  const [problem] = notAnObject(options);
  if (problem !== undefined) return [problem];
  const strict = Type.Object(schema.properties, { additionalProperties: false });
  const known = Object.keys(schema.properties).join(', ');
  const [, findings] = Errors(strict, options);
  return mistakesIn(findings, strict, options, 'strings').map(({ path, kind, text }) => ({
    path: path.reduce((place, step) => (/^\d+$/.test(step) ? `${place}[${step}]` : place === '' ? step : `${place}.${step}`), ''),
    message: kind !== 'unknown_field' ? text : path.length > 1 ? 'is not an option' : `is not an option; the options are ${known}`,
  }));
}
