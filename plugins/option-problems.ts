/** Validates a runner's options against its schema and reports all problems at once. */
import type { TObject } from 'typebox';
import { Type } from 'typebox';
import { Errors } from 'typebox/schema';
import type { ConfigProblem } from '../core/config/config.ts';
import { notAnObject, unknownOption } from '../core/config/options-object.ts';
import { isRecord } from '../core/domain/describe-value.ts';
import { mistakesIn } from '../core/domain/schema-mistakes.ts';

/** All problems in `options`, each with its path; unknown options are problems too. Strings are never shown, since any may be a secret. */
export function optionProblems(schema: TObject, options: unknown): readonly ConfigProblem[] {
  const [problem] = notAnObject(options);
  if (problem !== undefined) return [problem];
  const strict = Type.Object(schema.properties, { additionalProperties: false });
  const [, findings] = Errors(strict, options);
  return mistakesIn(findings, strict, options, 'strings').map(({ path, kind, expected }) => ({
    path: path.reduce((place, step) => (/^\d+$/.test(step) ? `${place}[${step}]` : place === '' ? step : `${place}.${step}`), ''),
    message: kind === 'unknown_field' ? unknownOption(path.at(-1) ?? '', optionsAt(strict, path.slice(0, -1))) : expected,
  }));
}

/** The options of the object at this path; none if its schema does not list them. */
function optionsAt(schema: unknown, path: readonly string[]): readonly string[] {
  const { properties, items } = isRecord(schema) ? schema : {};
  const [step, ...below] = path;
  if (step === undefined) return Object.keys(properties ?? {});
  return optionsAt(isRecord(properties) ? properties[step] : items, below);
}
