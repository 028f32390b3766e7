/**
 * A sidecar's memory of the assignments that have ended: for each task the highest generation, so that none at or below
 * it is ever run again. Oldest first.
 */
import type { Generation, TaskId } from '../ids.ts';
import type { Assignment } from './slot.ts';

/** How long an ended assignment is remembered. */
export const ENDED_KEPT_HOURS = 7 * 24;
/** How many are forgotten for their age with each that ends: a clock that is moved forward forgets no more, and files that were kept stay. */
export const AGED_AT_ONCE_MAX = 2;
/** How many tasks are remembered. */
export const ENDED_MAX = 10_000;
/** What the memory may take of the journal, characters. */
export const ENDED_CHARACTERS_MAX = 500_000;

/**
 * What became of it: the report that was answered, `refused` for one that the hub would not have, or, for one that the
 * hub took away, the outcome that the stop was confirmed with. Each with its letter in an entry.
 */
const LETTERS = {
  complete: 'c',
  failed: 'f',
  rejected: 'r',
  released: 'b',
  refused: 'x',
  killed: 'k',
  not_running: 'n',
  not_stoppable: 's',
} as const;
export type Fate = keyof typeof LETTERS;

/**
 * `HEX GENERATION LETTER HOUR`: the task's id without `task-`, and the hour since 1970 in which it ended; after the letter
 * `+` says that its files were kept, `!` that something of it or of an earlier one may be alive. Short, because ten thousand of them may stand in the journal.
 */
export type EndedEntry = string;
export const ENDED_ENTRY_PATTERN = '^[0-9a-f]{16,64} [0-9]{1,16} [cfrbxkns][+]?!? -?[0-9]{1,10}$';

export interface Ended extends Assignment {
  readonly fate: Fate;
  /** Its folders are still there, because they say more than its report could. */
  readonly filesKept: boolean;
  /** Something of its run, or of an earlier one of the task here, could not be stopped, or nobody knows. */
  readonly mayLive?: boolean | undefined;
}

const PREFIX = 'task-';
const HOUR_MS = 3_600_000;

/** What is remembered of the task; its generation may be another than one asks for. */
export function recall(memory: readonly EndedEntry[], taskId: TaskId): Ended | undefined {
  const start = startOf(taskId);
  const entry = memory.find((each) => each.startsWith(start));
  return entry === undefined ? undefined : readEntry(entry);
}

/** The assignments whose files were kept, oldest first. */
export const withFiles = (memory: readonly EndedEntry[]): readonly Ended[] => memory.filter((entry) => entry.includes('+')).map(readEntry);

/** The memory with one more, and those that are not remembered, because of it or of their age, and still have files. */
export function remember(
  memory: readonly EndedEntry[],
  ended: Ended,
  nowMs: number,
): { readonly memory: readonly EndedEntry[]; readonly forgotten: readonly Assignment[] } {
  const known = recall(memory, ended.taskId);
  const mayLive = ended.mayLive === true || known?.mayLive === true;
  if (known !== undefined && known.generation > ended.generation)
    return { memory: mayLive ? marked(memory, ended.taskId) : memory, forgotten: ended.filesKept ? [ended] : [] };
  const hour = Math.floor(nowMs / HOUR_MS);
  const start = startOf(ended.taskId);
  const others = known === undefined ? memory : memory.filter((each) => !each.startsWith(start));
  const all = [...others, writeEntry({ ...ended, mayLive }, hour)];
  const first = firstKept(all, hour);
  const replaced = known !== undefined && known.generation < ended.generation ? [known] : [];
  const forgotten = [...replaced, ...all.slice(0, first).map(readEntry)];
  return { memory: all.slice(first), forgotten: forgotten.filter((each) => each.filesKept) };
}

/** What is remembered of the task says that something of it may be alive. */
function marked(memory: readonly EndedEntry[], taskId: TaskId): readonly EndedEntry[] {
  const at = memory.findIndex((each) => each.startsWith(startOf(taskId)));
  const entry = memory[at] as EndedEntry;
  const known = readEntry(entry);
  if (known.mayLive === true) return memory;
  // At the end, as any entry that changes: the journal is told of the difference.
  return [...memory.toSpliced(at, 1), writeEntry({ ...known, mayLive: true }, hourOf(entry))];
}

/**
 * The place of the oldest entry that is neither too old nor too many nor too much. Only the first ones are asked for their age:
 * they are the oldest, unless the clock was wrong, and then some are remembered for longer.
 */
function firstKept(all: readonly EndedEntry[], hour: number): number {
  let first = Math.max(0, all.length - ENDED_MAX);
  const last = Math.min(all.length, first + AGED_AT_ONCE_MAX);
  while (first < last && hour - hourOf(all[first] as EndedEntry) > ENDED_KEPT_HOURS) first += 1;
  let characters = 0;
  for (let place = first; place < all.length; place += 1) characters += charactersOf(all[place] as EndedEntry);
  for (; characters > ENDED_CHARACTERS_MAX; first += 1) characters -= charactersOf(all[first] as EndedEntry);
  return first;
}

const hourOf = (entry: EndedEntry): number => Number(entry.slice(entry.lastIndexOf(' ')));

/** With its quotes and comma in the journal. */
const charactersOf = (entry: EndedEntry): number => entry.length + 3;

const startOf = (taskId: TaskId): string => `${taskId.slice(PREFIX.length)} `;

const writeEntry = (ended: Ended, hour: number): EndedEntry =>
  `${startOf(ended.taskId)}${ended.generation} ${LETTERS[ended.fate]}${ended.filesKept ? '+' : ''}${ended.mayLive === true ? '!' : ''} ${hour}`;

function readEntry(entry: EndedEntry): Ended {
  const [hex, generation, letter = ''] = entry.split(' ');
  const fate = (Object.keys(LETTERS) as Fate[]).find((each) => LETTERS[each] === letter[0]) ?? 'refused';
  const mayLive = letter.endsWith('!') || fate === 'not_stoppable';
  const name = { taskId: `${PREFIX}${hex}` as TaskId, generation: Number(generation) as Generation };
  return { ...name, fate, filesKept: letter[1] === '+', ...(mayLive ? { mayLive } : {}) };
}
