/**
 * The assignments that have ended at this sidecar: for each task the highest generation, so that none at or below it is
 * ever run again. Oldest first.
 */
import type { Generation, TaskId } from '../ids.ts';
import { transferIndex, indexOf as indexOn } from '../list-index.ts';
import { withAppended, withMovedLast } from '../list-copies.ts';
import { RenewedMap } from '../renewed-map.ts';
import type { AssignmentId } from './slot.ts';

/** How long an ended assignment is remembered. */
export const ENDED_KEPT_HOURS = 7 * 24;
/**
 * How many may expire by age whenever one is added, so that a clock moved forward cannot expire all of them, with their
 * files, at once.
 */
export const EXPIRED_AT_ONCE_MAX = 2;
/** How many tasks are remembered. */
export const ENDED_MAX = 10_000;
/**
 * The same in a sidecar whose tasks take microseconds, because each end copies the list. The hub resends an assignment only until it has
 * received its end, so the last few are enough.
 */
export const ENDED_IN_PROCESS_MAX = 128;
/** Maximum size in the journal, characters. */
export const ENDED_CHARACTERS_MAX = 500_000;

/**
 * How it ended: the report that the hub answered; `refused` if the hub rejected that report; or, for an assignment that
 * the hub revoked, the confirmed outcome of the stop. Each has its letter in an entry.
 */
const OUTCOME_LETTERS = {
  complete: 'c',
  failed: 'f',
  rejected: 'r',
  released: 'b',
  refused: 'x',
  killed: 'k',
  not_running: 'n',
  not_stoppable: 's',
} as const;
export type EndedOutcome = keyof typeof OUTCOME_LETTERS;

/**
 * `HEX GENERATION LETTER HOUR`: the task id without `task-`, and the hour since 1970 in which it ended. After the
 * letter, `+` means that its files were kept, `!` that part of it or of an earlier generation may be alive. Short,
 * because the journal may hold ten thousand of them.
 */
export type EndedEntry = string;
export const ENDED_ENTRY_PATTERN = '^[0-9a-f]{16,64} [0-9]{1,16} [cfrbxkns][+]?!? -?[0-9]{1,10}$';

export interface Ended extends AssignmentId {
  readonly outcome: EndedOutcome;
  /** Its folders still exist, because they hold more than its report. */
  readonly filesKept: boolean;
  /** Part of its run, or of an earlier run of the task here, could not be stopped, or it is not known whether it was. */
  readonly mayLive?: boolean | undefined;
}

const NONE: readonly never[] = [];
const PREFIX = 'task-';
const HOUR_MS = 3_600_000;

/** What is remembered about the task; its generation may differ from the one in question. */
export function recall(memory: readonly EndedEntry[], taskId: TaskId): Ended | undefined {
  const entry = indexOf(memory).entries.get(taskId);
  return entry === undefined ? undefined : readEntry(entry);
}

/** The assignments whose files were kept, oldest first. */
export const withFiles = (memory: readonly EndedEntry[]): readonly Ended[] => memory.filter((entry) => entry.includes('+')).map(readEntry);

/**
 * Adds an assignment. `forgotten`: assignments that still have files and are no longer remembered, because of this one or of their age.
 * `tasksMax`: how many tasks are remembered.
 */
export function remember(
  memory: readonly EndedEntry[],
  ended: Ended,
  nowMs: number,
  tasksMax = ENDED_MAX,
): { readonly memory: readonly EndedEntry[]; readonly forgotten: readonly AssignmentId[] } {
  const index = indexOf(memory);
  const replacedEntry = index.entries.get(ended.taskId);
  const known = replacedEntry === undefined ? undefined : readEntry(replacedEntry);
  const mayLive = ended.mayLive === true || known?.mayLive === true;
  if (known !== undefined && known.generation > ended.generation)
    return { memory: mayLive ? markMayLive(memory, ended.taskId) : memory, forgotten: ended.filesKept ? [ended] : [] };
  const hour = Math.floor(nowMs / HOUR_MS);
  const { taskId } = ended;
  const entry = writeEntry(ended, mayLive, hour);
  const others = replacedEntry === undefined ? memory : memory.filter((each) => each !== replacedEntry);
  const characters = index.characters + charactersOf(entry) - (replacedEntry === undefined ? 0 : charactersOf(replacedEntry));
  const first = firstKept(others, hour, characters, tasksMax - 1);
  const dropped = others.slice(0, first);
  const kept = withAppended(others, entry, first);
  moveIndex(index, { from: memory, to: kept, taskId, entry, characters, dropped });
  const replaced = known !== undefined && known.generation < ended.generation && known.filesKept ? [known] : NONE;
  return { memory: kept, forgotten: dropped.length === 0 ? replaced : [...replaced, ...withFiles(dropped)] };
}

/** The entries by task, so that `recall` need not search the list, and the size of the list in characters. */
interface Index {
  readonly entries: RenewedMap<TaskId, EndedEntry>;
  characters: number;
}

const taskIdIn = (entry: EndedEntry): TaskId => `${PREFIX}${entry.slice(0, entry.indexOf(' '))}` as TaskId;

/**
 * A cache for each list, which does not affect the results. The newest list holds the index: `remember` hands it on. An older list, which
 * is read only after a failed save, gets a new one.
 */
const indexOf = (memory: readonly EndedEntry[]): Index => indexOn(memory, () => indexed(memory));

function indexed(memory: readonly EndedEntry[]): Index {
  const index: Index = { entries: new RenewedMap(), characters: 0 };
  for (const entry of memory) {
    const taskId = taskIdIn(entry);
    if (!index.entries.has(taskId)) index.entries.set(taskId, entry);
    index.characters += charactersOf(entry);
  }
  return index;
}

interface IndexMove {
  readonly from: readonly EndedEntry[];
  readonly to: readonly EndedEntry[];
  readonly taskId: TaskId;
  readonly entry: EndedEntry;
  readonly characters: number;
  readonly dropped: readonly EndedEntry[];
}

function moveIndex(index: Index, { from, to, taskId, entry, characters, dropped }: IndexMove): void {
  index.entries.set(taskId, entry);
  index.characters = characters;
  for (const old of dropped) {
    index.entries.delete(taskIdIn(old));
    index.characters -= charactersOf(old);
  }
  transferIndex(from, to);
}

/** Marks the task: part of it may be alive. */
function markMayLive(memory: readonly EndedEntry[], taskId: TaskId): readonly EndedEntry[] {
  const at = memory.findIndex((each) => each.startsWith(startOf(taskId)));
  const entry = memory[at] as EndedEntry;
  const known = readEntry(entry);
  if (known.mayLive === true) return memory;
  // Moved to the end like every changed entry, since the journal appends changes.
  return withMovedLast(memory, at, writeEntry(known, true, hourOf(entry)));
}

/**
 * Index of the oldest entry within the age, count and size bounds. Only the first entries are checked for age: they are
 * the oldest unless the clock was wrong, in which case some are kept longer.
 */
function firstKept(all: readonly EndedEntry[], hour: number, characters: number, tasksMax: number): number {
  let first = Math.max(0, all.length - tasksMax);
  const last = Math.min(all.length, first + EXPIRED_AT_ONCE_MAX);
  while (first < last && hour - hourOf(all[first] as EndedEntry) > ENDED_KEPT_HOURS) first += 1;
  let left = characters;
  for (let place = 0; place < first; place += 1) left -= charactersOf(all[place] as EndedEntry);
  for (; left > ENDED_CHARACTERS_MAX; first += 1) left -= charactersOf(all[first] as EndedEntry);
  return first;
}

/** The number at the end. Digit by digit: `Number` of a part of the entry takes as long as all the rest of `remember`. */
function hourOf(entry: EndedEntry): number {
  let hour = 0;
  let unit = 1;
  for (let at = entry.length - 1; ; at -= 1, unit *= 10) {
    const digit = entry.charCodeAt(at) - CODE_OF_0;
    if (!(digit >= 0 && digit <= 9)) return entry[at] === '-' ? -hour : hour;
    hour += digit * unit;
  }
}
const CODE_OF_0 = 48;

/** Including quotes and comma in the journal. */
const charactersOf = (entry: EndedEntry): number => entry.length + 3;

const startOf = (taskId: TaskId): string => `${taskId.slice(PREFIX.length)} `;

const writeEntry = (ended: Ended, mayLive: boolean, hour: number): EndedEntry =>
  `${startOf(ended.taskId)}${ended.generation} ${OUTCOME_LETTERS[ended.outcome]}${ended.filesKept ? '+' : ''}${mayLive ? '!' : ''} ${hour}`;

function readEntry(entry: EndedEntry): Ended {
  const [hex, generation, letter = ''] = entry.split(' ');
  const outcome = (Object.keys(OUTCOME_LETTERS) as EndedOutcome[]).find((each) => OUTCOME_LETTERS[each] === letter[0]) ?? 'refused';
  const mayLive = letter.endsWith('!') || outcome === 'not_stoppable';
  const assignment = { taskId: `${PREFIX}${hex}` as TaskId, generation: Number(generation) as Generation };
  return { ...assignment, outcome, filesKept: letter[1] === '+', ...(mayLive ? { mayLive } : {}) };
}
