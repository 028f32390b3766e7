/** Helpers to merge options with defaults. */

/** Loopback only, unless the config says otherwise. */
export const DEFAULT_HOST = '127.0.0.1';

/** The options without keys that are `undefined`, so that spreading them over defaults keeps the defaults. */
export function withoutUndefined<T extends object>(options: Partial<T> | undefined): Partial<T> {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== undefined)) as Partial<T>;
}
