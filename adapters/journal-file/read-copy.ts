/** Reads a copy of the state together with its ended list. */
import { join } from 'node:path';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import { NOTHING_ENDED, readEnded, type EndedMark, type KeptList } from './ended-log.ts';
import { unpack } from './envelope.ts';
import type { JournalFiles } from './journal-files.ts';

export const NEWEST = 'queue.json';
export const PREVIOUS = 'queue.json.1';

export type Copy =
  | { readonly kind: 'good'; readonly state: unknown; readonly kept: KeptList }
  | { readonly kind: 'missing' }
  /** `why` completes the sentence "The file …"; `ended` is the list it refers to, if that much is readable. */
  | { readonly kind: 'bad'; readonly why: string; readonly ended: EndedMark | null }
  | { readonly kind: 'newer'; readonly version: number };

export async function readCopy(folder: string, files: JournalFiles, name: string): Promise<Copy> {
  let ended: EndedMark | null = null;
  try {
    const bytes = await files.read(join(folder, name));
    if (bytes === null) return { kind: 'missing' };
    const copy = unpack(bytes);
    if (copy.kind === 'bad') return { ...copy, ended };
    if (copy.kind === 'newer') return copy;
    if (copy.ended === null) return { kind: 'good', state: copy.state, kept: NOTHING_ENDED };
    ended = copy.ended;
    const read = await readEnded(folder, files, ended);
    if (read.kind === 'bad') return { kind: 'bad', why: `needs "${ended.file}", which ${read.why}`, ended };
    return { kind: 'good', state: together(copy.state, read.kept.list), kept: read.kept };
  } catch (error) {
    return { kind: 'bad', why: `cannot be read (${messageOf(error)})`, ended };
  }
}

export interface StateParts {
  /** JSON. */
  readonly text: string;
  readonly ended: readonly string[];
}

/**
 * Splits the state as it is stored: a top-level list of strings `ended` is kept apart, unless it is empty. `known` was
 * validated before.
 */
export function inParts(state: unknown, known: readonly string[]): StateParts {
  if (typeof state === 'object' && state !== null && !Array.isArray(state) && 'ended' in state) {
    const { ended, ...rest } = state;
    if (isTextsOr(known, ended) && ended.length > 0) return { text: JSON.stringify(rest), ended };
  }
  return { text: JSON.stringify(state), ended: [] };
}

const together = (state: unknown, ended: readonly string[]): unknown => ({ ...(state as object), ended });

const isTextsOr = (known: readonly string[], value: unknown): value is readonly string[] =>
  value === known || (Array.isArray(value) && value.every((each) => typeof each === 'string'));
