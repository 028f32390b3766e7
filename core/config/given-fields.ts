/** How options and defaults meet. */

/** Nothing beyond this machine is let in unless the config says so. */
export const DEFAULT_HOST = '127.0.0.1';

/** What was given, without keys that are there but `undefined`, so that spreading it over defaults keeps them. */
export function given<T extends object>(options: Partial<T> | undefined): Partial<T> {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== undefined)) as Partial<T>;
}
