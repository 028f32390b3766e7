/** What is wrong with options, of the config and of adapters and runners alike. */
import { describe, describeHidden, isRecord } from '../domain/describe-value.ts';
import type { ConfigProblem } from './config.ts';

/** A key this many edits away from a known one counts as a misspelling of it. */
const EDITS_MAX = 2;

/** The problem of options that are not an object at all, such as `postgres('postgres://…')`. A text is not shown: it may be a secret. */
export function notAnObject(options: unknown): readonly ConfigProblem[] {
  if (isRecord(options)) return [];
  const found = options === undefined ? 'none' : typeof options === 'string' ? describeHidden(options) : describe(options);
  return [{ path: '', message: `expected an object with its options, found ${found}` }];
}

/** The message for an option that does not exist: the known one that was probably meant, or all of them. */
export function unknownOption(key: string, known: readonly string[]): string {
  const closest = known
    .map((candidate) => ({ candidate, edits: editsBetween(key.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)[0];
  if (closest !== undefined && closest.edits <= EDITS_MAX && closest.edits < key.length) {
    return `there is no such option; did you mean "${closest.candidate}"?`;
  }
  return known.length === 0 ? 'there is no such option' : `there is no such option; expected one of ${known.join(', ')}`;
}

/** The Levenshtein distance: how many letters must be added, dropped or changed to turn one word into the other. */
function editsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1];
    for (const [column, other] of [...to].entries()) {
      const kept = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(kept, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
