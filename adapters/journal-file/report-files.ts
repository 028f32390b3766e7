/** Bodies of reports: `outbox/` until the hub answers, `refused/` for those that it refused. */
import { join } from 'node:path';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { Assignment } from '../../core/domain/assignment/slot.ts';
import { writeDurably, type JournalFiles } from './journal-files.ts';

export interface Reports {
  write(name: Assignment, text: string): Promise<void>;
  read(name: Assignment): Promise<string | null>;
  remove(name: Assignment): Promise<void>;
  refuse(name: Assignment, reason: string): Promise<void>;
}

/** Both folders must exist. */
export function reports(outbox: string, refused: string, files: JournalFiles): Reports {
  const fileOf = (folder: string, name: Assignment): string => join(folder, `${assignmentText(name)}.json`);

  return {
    write: (name, text) => writeDurably(files, outbox, fileOf(outbox, name), Buffer.from(text)),

    async read(name) {
      return (await files.read(fileOf(outbox, name)))?.toString('utf8') ?? null;
    },

    async remove(name) {
      await files.remove(fileOf(outbox, name));
      await files.syncFolder(outbox);
    },

    async refuse(name, reason) {
      const waiting = fileOf(outbox, name);
      if ((await files.read(waiting)) === null) return;
      // The reason first: after a crash in between, the report is simply refused again.
      const reasonFile = join(refused, `${assignmentText(name)}.reason.txt`);
      await writeDurably(files, refused, reasonFile, Buffer.from(`${reason}\n`));
      await files.rename(waiting, fileOf(refused, name));
      await files.syncFolder(refused);
      await files.syncFolder(outbox);
    },
  };
}
