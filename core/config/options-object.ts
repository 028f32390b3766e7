/** The options of an adapter or a runner, as the config passes them to its factory. */
import { describe, describeHidden, isRecord } from '../domain/describe-value.ts';
import type { ConfigProblem } from './config.ts';

/** The problem of options that are not an object at all, such as `postgres('postgres://…')`. A text is not shown: it may be a secret. */
export function notAnObject(options: unknown): readonly ConfigProblem[] {
  if (isRecord(options)) return [];
  const found = options === undefined ? 'none' : typeof options === 'string' ? describeHidden(options) : describe(options);
  return [{ path: '', message: `expected an object with its options, found ${found}` }];
}
