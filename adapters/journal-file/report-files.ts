/** Bodies of reports: `outbox/` until the hub answers, `refused/` for those that it refused. */
import { join } from 'node:path';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { AssignmentId } from '../../core/domain/assignment/slot.ts';
import { writeDurably, type JournalFiles } from './journal-files.ts';

export interface Reports {
  write(assignment: AssignmentId, text: string): Promise<void>;
  read(assignment: AssignmentId): Promise<string | null>;
  remove(assignment: AssignmentId): Promise<void>;
  refuse(assignment: AssignmentId, reason: string): Promise<void>;
}

/** Both folders must exist. */
export function reports(outbox: string, refused: string, files: JournalFiles): Reports {
  const fileOf = (folder: string, assignment: AssignmentId): string => join(folder, `${assignmentText(assignment)}.json`);

  return {
    write: (assignment, text) => writeDurably(files, outbox, fileOf(outbox, assignment), Buffer.from(text)),

    async read(assignment) {
      return (await files.read(fileOf(outbox, assignment)))?.toString('utf8') ?? null;
    },

    async remove(assignment) {
      await files.remove(fileOf(outbox, assignment));
      await files.syncFolder(outbox);
    },

    async refuse(assignment, reason) {
      const waiting = fileOf(outbox, assignment);
      if ((await files.read(waiting)) === null) return;
      // The reason first: after a crash in between, the report is simply refused again.
      const reasonFile = join(refused, `${assignmentText(assignment)}.reason.txt`);
      await writeDurably(files, refused, reasonFile, Buffer.from(`${reason}\n`));
      await files.rename(waiting, fileOf(refused, assignment));
      await files.syncFolder(refused);
      await files.syncFolder(outbox);
    },
  };
}
