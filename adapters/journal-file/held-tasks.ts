/**
 * Large tasks of slots, stored apart from the state in `held/`, so that a save does not write all of them again: each in a file that is named
 * by its digest and never changes. In the state a reference takes the place of such a task. They are stored apart, the largest first, only
 * until the others take at most `TASKS_IN_STATE_BYTES`: most journals need no such file.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { HELD_TASKS_BYTES_MAX } from '../../core/protocol/fields.ts';
import { writeDurably, type JournalFiles } from './journal-files.ts';

export const HELD = 'held';
const NAME = /^[0-9a-f]{64}\.json$/;
export const isHeldFile = (name: string): boolean => NAME.test(name);

const TASKS_IN_STATE_BYTES = HELD_TASKS_BYTES_MAX;

interface Slot {
  readonly task: object;
}

/** In the place of a task. No task looks like it: each has a description. */
interface Reference {
  readonly heldIn: string;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value);
const isSlot = (value: unknown): value is Slot => isObject(value) && 'task' in value && isObject(value.task);
const slotsIn = (state: unknown): readonly unknown[] =>
  isObject(state) && 'slots' in state && Array.isArray(state.slots) ? (state.slots as readonly unknown[]) : [];
const referenceIn = (value: unknown): string | null => {
  if (!isSlot(value)) return null;
  const { heldIn, ...rest } = value.task as Partial<Reference>;
  return typeof heldIn === 'string' && isHeldFile(heldIn) && Object.keys(rest).length === 0 ? heldIn : null;
};

/** A state as it is written: JSON, and the tasks that it refers to. */
export interface StateText {
  readonly text: string;
  /** By file name. */
  readonly held: ReadonlyMap<string, object>;
}

/** A task never changes: measured once. */
const bytesOfTasks = new WeakMap<object, number>();
const fileNames = new WeakMap<object, string>();

function bytesOf(task: object): number {
  const known = bytesOfTasks.get(task);
  if (known !== undefined) return known;
  const bytes = Buffer.byteLength(JSON.stringify(task));
  bytesOfTasks.set(task, bytes);
  return bytes;
}

function fileNameOf(task: object): string {
  const known = fileNames.get(task);
  if (known !== undefined) return known;
  const name = `${createHash('sha256').update(JSON.stringify(task)).digest('hex')}.json`;
  fileNames.set(task, name);
  return name;
}

/** Serializes states. Keeps in mind whether the last one was large, so that usual ones are not measured. */
export function stateTexts(): (state: unknown) => StateText {
  let isLarge = false;
  return (state) => {
    const text = isLarge ? null : JSON.stringify(state);
    if (text !== null && (text.length * UTF8_BYTES_MAX <= TASKS_IN_STATE_BYTES || Buffer.byteLength(text) <= TASKS_IN_STATE_BYTES))
      return { text, held: NONE };
    const held = tasksToStoreApart(slotsIn(state).filter(isSlot));
    isLarge = held.size > 0;
    if (!isLarge) return { text: text ?? JSON.stringify(state), held: NONE };
    const slots = slotsIn(state).map((slot) =>
      isSlot(slot) && held.has(slot.task) ? { ...slot, task: { heldIn: fileNameOf(slot.task) } satisfies Reference } : slot,
    );
    return {
      text: JSON.stringify({ ...(state as object), slots }),
      held: new Map([...held].map((task) => [fileNameOf(task), task])),
    };
  };
}

/** A UTF-16 unit takes at most so many bytes. */
const UTF8_BYTES_MAX = 3;
const NONE: StateText['held'] = new Map();

function tasksToStoreApart(slots: readonly Slot[]): ReadonlySet<object> {
  const bySize = slots.map(({ task }) => ({ task, bytes: bytesOf(task) })).sort((a, b) => b.bytes - a.bytes);
  let inState = bySize.reduce((sum, { bytes }) => sum + bytes, 0);
  const apart = new Set<object>();
  for (const { task, bytes } of bySize) {
    if (inState <= TASKS_IN_STATE_BYTES) break;
    apart.add(task);
    inState -= bytes;
  }
  return apart;
}

export const writeHeldTask = async (folder: string, files: JournalFiles, name: string, task: object): Promise<void> => {
  const held = join(folder, HELD);
  await files.makeFolder(held);
  await writeDurably(files, held, join(held, name), Buffer.from(JSON.stringify(task)));
};

/** The state with the tasks that it refers to, and their files. Throws `AC_JOURNAL_CORRUPT`, with what is wrong with a file, "needs …". */
export async function withHeldTasks(
  folder: string,
  files: JournalFiles,
  state: unknown,
): Promise<{ readonly state: unknown; readonly held: readonly string[] }> {
  const held = slotsIn(state).flatMap((slot) => referenceIn(slot) ?? []);
  if (held.length === 0) return { state, held };
  // All are read before the first is parsed, which takes longer: a running sidecar may remove them meanwhile.
  const contents = new Map<string, Buffer | null>();
  for (const name of held) contents.set(name, await files.read(join(folder, HELD, name)));
  const slots = slotsIn(state).map((slot) => {
    const name = referenceIn(slot);
    return name === null ? slot : { ...(slot as Slot), task: taskIn(name, contents.get(name) ?? null) };
  });
  return { state: { ...(state as object), slots }, held };
}

function taskIn(name: string, bytes: Buffer | null): object {
  const bad = (why: string): AgentcomError => new AgentcomError('AC_JOURNAL_CORRUPT', `needs "${HELD}/${name}", which ${why}`);
  if (bytes === null) throw bad('is missing');
  if (`${createHash('sha256').update(bytes).digest('hex')}.json` !== name) throw bad('does not match its SHA-256 digest');
  try {
    const task = JSON.parse(bytes.toString('utf8')) as object;
    bytesOfTasks.set(task, bytes.length);
    fileNames.set(task, name);
    return task;
  } catch (error) {
    throw bad(`is not JSON (${messageOf(error)})`);
  }
}
