/** Reads a copy of the state together with its ended list and the tasks that are stored apart. */
import { join } from 'node:path';
import { AgentcomError, messageOf, withoutStop } from '../../core/errors/agentcom-error.ts';
import { NOTHING_ENDED, readEnded, type EndedMark, type KeptList } from './ended-log.ts';
import { unpack } from './envelope.ts';
import { withHeldTasks, type StateText } from './held-tasks.ts';
import type { JournalFiles } from './journal-files.ts';

export const NEWEST = 'queue.json';
export const PREVIOUS = 'queue.json.1';

export type Copy =
  /** `held`: the files of tasks that are stored apart. */
  | { readonly kind: 'good'; readonly state: unknown; readonly kept: KeptList; readonly held: readonly string[] }
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
    ended = copy.ended;
    const whole = copy.held === 0 ? { kind: 'good' as const, state: copy.state, held: [] } : await withHeldTasks(folder, files, copy.state);
    if (whole.kind === 'bad') return { ...whole, ended };
    const { state, held } = whole;
    if (new Set(held).size !== copy.held) return { kind: 'bad', why: `refers to ${held.length} tasks instead of ${copy.held}`, ended };
    if (ended === null) return { kind: 'good', state, kept: NOTHING_ENDED, held };
    const read = await readEnded(folder, files, ended);
    if (read.kind === 'bad') return { kind: 'bad', why: `needs "${ended.file}", which ${read.why}`, ended };
    return { kind: 'good', state: together(state, read.kept.list), kept: read.kept, held };
  } catch (error) {
    const why = AgentcomError.is(error) ? error.found : messageOf(error);
    return { kind: 'bad', why: `cannot be read (${withoutStop(why)})`, ended };
  }
}

export interface StateParts extends StateText {
  readonly ended: readonly string[];
}

/**
 * Splits the state as it is stored: a top-level list of strings `ended` is kept apart, unless it is empty, and so are large tasks.
 * `known` was validated before.
 */
export function inParts(state: unknown, known: readonly string[], textOf: (state: unknown) => StateText): StateParts {
  if (typeof state === 'object' && state !== null && !Array.isArray(state) && 'ended' in state) {
    const { ended, ...rest } = state;
    if (isTextsOr(known, ended) && ended.length > 0) return { ...textOf(rest), ended };
  }
  return { ...textOf(state), ended: [] };
}

const together = (state: unknown, ended: readonly string[]): unknown => ({ ...(state as object), ended });

const isTextsOr = (known: readonly string[], value: unknown): value is readonly string[] =>
  value === known || (Array.isArray(value) && value.every((each) => typeof each === 'string'));
