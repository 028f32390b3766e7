/** Options of an adapter that are all whole numbers with a default each. */
import type { ConfigProblem } from './config.ts';

/** The same bound as timers have. */
const NUMBER_MAX = 2_147_483_647;

/** The options with the defaults in; what is no option, or undefined, is left out. */
export function withDefaults<T extends Readonly<Record<string, number>>>(
  options: { readonly [Key in keyof T]?: number | undefined },
  defaults: T,
): T {
  const given = Object.entries(options).filter(([key, value]) => Object.hasOwn(defaults, key) && value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) };
}

/** Mistakes in options that come from a config; `what` is the call that they are given to, as in `ws()`. */
export function numberProblems(options: object, defaults: Readonly<Record<string, number>>, what: string): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const [path, found] of Object.entries(options as Readonly<Record<string, unknown>>)) {
    if (!Object.hasOwn(defaults, path)) {
      problems.push({ path, message: `${what} has no such option; it has ${Object.keys(defaults).join(', ')}.` });
    } else if (found !== undefined && !(Number.isInteger(found) && (found as number) >= 1 && (found as number) <= NUMBER_MAX)) {
      problems.push({ path, message: `wanted a whole number from 1 to ${NUMBER_MAX}, found ${String(found)}.` });
    }
  }
  return problems;
}
