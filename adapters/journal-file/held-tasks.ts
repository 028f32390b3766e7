/**
 * Large tasks of slots, stored apart from the state in `held/`, so that a save does not write all of them again: each in a file that is named
 * by its digest and never changes. In the state a reference takes the place of such a task. They are stored apart, the largest first, only
 * until the others take at most `HELD_TASKS_BYTES_MAX`: most journals need no such file.
 */
import { join } from 'node:path';
import { isRecord } from '../../core/domain/describe-value.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import { HELD_TASKS_BYTES_MAX } from '../../core/protocol/fields.ts';
import { digestOf } from './envelope.ts';
import { writeDurably, type JournalFiles } from './journal-files.ts';

export const HELD = 'held';
const NAME = /^[0-9a-f]{64}\.json$/;
export const isHeldFile = (name: string): boolean => NAME.test(name);

interface Slot {
  readonly task: object;
}

/** In the place of a task. No task looks like it: each has a description. */
interface Reference {
  readonly heldIn: string;
}

const isSlot = (value: unknown): value is Slot => isRecord(value) && isRecord(value['task']);
const slotsIn = (state: unknown): readonly unknown[] =>
  isRecord(state) && Array.isArray(state['slots']) ? (state['slots'] as readonly unknown[]) : [];
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

interface Stored {
  /** As JSON. */
  readonly bytes: number;
  /** The name of its file, if it is stored apart. */
  readonly name: string;
}

/** A cache: a task never changes. */
const storedForms = new WeakMap<object, Stored>();

function storedForm(task: object): Stored {
  const known = storedForms.get(task);
  if (known !== undefined) return known;
  const text = JSON.stringify(task);
  const stored = { bytes: Buffer.byteLength(text), name: nameOf(text) };
  storedForms.set(task, stored);
  return stored;
}

const nameOf = (contents: string | Buffer): string => `${digestOf(contents)}.json`;

/** Serializes states. Keeps in mind whether the last one was large, so that usual ones are not measured. */
export function stateTexts(): (state: unknown) => StateText {
  let isLarge = false;
  return (state) => {
    const text = isLarge ? null : JSON.stringify(state);
    if (text !== null && (text.length * UTF8_BYTES_MAX <= HELD_TASKS_BYTES_MAX || Buffer.byteLength(text) <= HELD_TASKS_BYTES_MAX))
      return { text, held: NONE };
    const held = tasksToStoreApart(slotsIn(state).filter(isSlot));
    isLarge = held.size > 0;
    if (!isLarge) return { text: text ?? JSON.stringify(state), held: NONE };
    const slots = slotsIn(state).map((slot) =>
      isSlot(slot) && held.has(slot.task) ? { ...slot, task: { heldIn: storedForm(slot.task).name } satisfies Reference } : slot,
    );
    return {
      text: JSON.stringify({ ...(state as object), slots }),
      held: new Map([...held].map((task) => [storedForm(task).name, task])),
    };
  };
}

/** A UTF-16 unit takes at most so many bytes. */
const UTF8_BYTES_MAX = 3;
const NONE: StateText['held'] = new Map();

function tasksToStoreApart(slots: readonly Slot[]): ReadonlySet<object> {
  const bySize = slots.map(({ task }) => ({ task, bytes: storedForm(task).bytes })).sort((a, b) => b.bytes - a.bytes);
  let inState = bySize.reduce((sum, { bytes }) => sum + bytes, 0);
  const apart = new Set<object>();
  for (const { task, bytes } of bySize) {
    if (inState <= HELD_TASKS_BYTES_MAX) break;
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

/** The state with the tasks that it refers to, and their files. `why` completes the sentence "The copy …". */
export async function withHeldTasks(
  folder: string,
  files: JournalFiles,
  state: unknown,
): Promise<
  { readonly kind: 'good'; readonly state: unknown; readonly held: readonly string[] } | { readonly kind: 'bad'; readonly why: string }
> {
  const held = slotsIn(state).flatMap((slot) => referenceIn(slot) ?? []);
  // All are read before the first is parsed, which takes longer: a running sidecar may remove them meanwhile.
  const contents = new Map<string, Buffer | null>();
  for (const name of held) contents.set(name, await files.read(join(folder, HELD, name)));
  const slots: unknown[] = [];
  for (const slot of slotsIn(state)) {
    const name = referenceIn(slot);
    const task = name === null ? null : taskIn(name, contents.get(name) ?? null);
    if (typeof task === 'string') return { kind: 'bad', why: `needs "${HELD}/${name}", which ${task}` };
    slots.push(task === null ? slot : { ...(slot as Slot), task });
  }
  return { kind: 'good', state: { ...(state as object), slots }, held };
}

/** The task, or what is wrong with the file. */
function taskIn(name: string, contents: Buffer | null): object | string {
  if (contents === null) return 'is missing';
  if (nameOf(contents) !== name) return 'does not match its SHA-256 digest';
  try {
    const task = JSON.parse(contents.toString('utf8')) as object;
    storedForms.set(task, { bytes: contents.length, name });
    return task;
  } catch (error) {
    return `is not JSON (${messageOf(error)})`;
  }
}
