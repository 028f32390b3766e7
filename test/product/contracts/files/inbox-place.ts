/** The place in which the ResultInbox contract tests run. */
import type { VirtualClock } from '../../twins/clock-virtual/virtual-clock.ts';
import type { Generation, TaskId } from '../../../../core/domain/ids.ts';
import { assignmentText } from '../../../../core/ports/assignment-name.ts';
import type { AssignmentId } from '../../../../core/domain/assignment/slot.ts';
import type { FlatNames, ResultInbox } from '../../../../core/ports/result-inbox.ts';
import type { Teardown } from '../contract-case.ts';
import { fileEventRecorder, type FileEventRecorder } from './file-event-recorder.ts';

/** One data directory, or its equivalent. Paths are relative to it. */
export interface InboxPlace {
  readonly clock: VirtualClock;
  /** How long an unfinished result must remain unchanged. */
  readonly stillMs: number;
  /** The inbox of the next process over the same files; closed after the test. */
  inbox(): ResultInbox;
  /** As an agent: writes a complete file. `mtimeMs`: the time of a flat file, by the wall clock of `clock`, if files have a time. */
  write(path: string, text: string, mtimeMs?: number): Promise<void>;
  /** As an agent: renames a file; false if it does not exist. */
  move(from: string, to: string): Promise<boolean>;
  read(path: string): Promise<string | null>;
  /** Every file, in order. */
  paths(): Promise<readonly string[]>;
  /** Lets time pass, in small steps, until `work` is done. */
  pass(work: Promise<unknown>): Promise<void>;
  /** Makes `prepare` fail. */
  breakPrepare(inbox: ResultInbox): Promise<void>;
  /** Puts something that is not a file under a name. */
  readonly odd: OddThings;
}

/** Creates things that should not be in a results folder. Paths are relative to it. */
export interface OddThings {
  link(path: string, target: string): Promise<void>;
  fifo(path: string): Promise<void>;
  folder(path: string): Promise<void>;
}

/** A result inbox under test. */
export interface InboxSubject {
  place(t: Teardown): Promise<InboxPlace>;
}

export const nameOf = (digit: string, generation: number): AssignmentId => ({
  taskId: `task-${digit.repeat(16)}` as TaskId,
  generation: generation as Generation,
});

/** The path of an agent's file in the folder of its assignment. */
export const ownPath = (name: AssignmentId, file: string): string => `results/${assignmentText(name)}/${name.taskId}.${file}`;

export const TASK = { id: 'task-aaaaaaaaaaaaaaaa', description: 'Say "hallo" 😀', metadata: { n: 1 } };

/** An open inbox that expects the assignment, woken now. */
export async function expecting(
  place: InboxPlace,
  name: AssignmentId,
  flat: FlatNames = 'all',
): Promise<{ inbox: ResultInbox; saw: FileEventRecorder }> {
  const inbox = place.inbox();
  const saw = fileEventRecorder();
  await inbox.open(saw.put);
  await inbox.prepare(name, TASK, false);
  inbox.watch(name, flat);
  return { inbox, saw };
}
