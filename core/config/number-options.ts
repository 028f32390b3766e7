/** Options of an adapter that are all whole numbers, each with a default. */
import { notAnObject, unknownOption } from './options-object.ts';
import { describe, isRecord } from '../domain/describe-value.ts';
import type { ConfigProblem } from './config.ts';

/** The longest delay that timers support. */
const NUMBER_MAX = 2_147_483_647;

/** The options with defaults filled in; unknown and undefined ones are dropped, and so is what is not an object. */
export function withDefaults<T extends Readonly<Record<string, number>>>(
  options: { readonly [Key in keyof T]?: number | undefined },
  defaults: T,
): T {
  const given = Object.entries(isRecord(options) ? options : {}).filter(
    ([key, value]) => Object.hasOwn(defaults, key) && value !== undefined,
  );
  return { ...defaults, ...Object.fromEntries(given) };
}

/** Problems in options from a config. */
export function numberProblems(options: object, defaults: Readonly<Record<string, number>>): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [...notAnObject(options)];
  if (problems.length > 0) return problems;
  for (const [path, found] of Object.entries(options as Readonly<Record<string, unknown>>)) {
    if (!Object.hasOwn(defaults, path)) {
      problems.push({ path, message: unknownOption(path, Object.keys(defaults)) });
    } else if (found !== undefined && !(Number.isInteger(found) && (found as number) >= 1 && (found as number) <= NUMBER_MAX)) {
      problems.push({ path, message: `expected a whole number from 1 to ${NUMBER_MAX}, found ${describe(found)}` });
    }
  }
  return problems;
}
